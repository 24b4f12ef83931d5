/** `"%s is %d".format([...])`, as the CEL extension for strings describes it. */
import { CallError } from "./call-error.ts";
import { timeAsText, toPlain } from "./values.ts";

const clause = /%(?:\.(\d+))?(.)/gs;

/** Throws CallError where the clauses don't fit the values. */
export function formatText(pattern: string, values: readonly unknown[]): string {
  let next = 0;
  return pattern.replace(clause, (_, precision: string | undefined, verb: string) => {
    if (verb === "%") return "%";
    if (next >= values.length) throw new CallError(`format: there is no value for clause ${next + 1}`);
    return formatOne(verb, values[next++], precision === undefined ? undefined : Number(precision));
  });
}

function formatOne(verb: string, value: unknown, precision: number | undefined): string {
  switch (verb) {
    case "s":
      return plainText(value);
    case "d":
      return special(value) ?? (Number.isInteger(numberOf(value)) ? String(inner(value)) : wrong(verb, value));
    case "f":
      return special(value) ?? numberOf(value, verb).toFixed(precision ?? 6);
    case "e":
      return special(value) ?? exponential(numberOf(value, verb), precision ?? 6);
    case "b":
      return typeof value === "boolean" ? (value ? "1" : "0") : big(value, verb).toString(2);
    case "o":
      return big(value, verb).toString(8);
    case "x":
      return hexadecimal(value, verb);
    case "X":
      return hexadecimal(value, "x").toUpperCase();
    default:
      throw new CallError(`format: there is no clause %${verb}; there are %s %d %f %e %b %o %x %X %%`);
  }
}

/** As it appears in lists and maps, too. */
function plainText(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "null";
  if (value instanceof Date) return timeAsText(value);
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  if (Array.isArray(value)) return `[${value.map(plainText).join(", ")}]`;
  if (typeof value === "number") return special(value) ?? String(value);
  if (typeof value !== "object") return String(value);
  if (Object.getPrototypeOf(value) !== Object.prototype) return String(toPlain(value));
  const entries = Object.entries(value).map(([key, one]) => `${key}: ${plainText(one)}`);
  return `{${entries.sort().join(", ")}}`;
}

function special(value: unknown): string | undefined {
  if (typeof value !== "number" || Number.isFinite(value)) return undefined;
  return Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
}

function inner(value: unknown): unknown {
  return typeof value === "object" && value !== null ? value.valueOf() : value;
}

function numberOf(value: unknown, verb = "d"): number {
  const plain = inner(value);
  if (typeof plain === "number" || typeof plain === "bigint") return Number(plain);
  return wrong(verb, value);
}

function big(value: unknown, verb: string): bigint {
  const plain = inner(value);
  if (typeof plain === "bigint") return plain;
  return typeof plain === "number" && Number.isInteger(plain) ? BigInt(plain) : wrong(verb, value);
}

function exponential(number: number, precision: number): string {
  return number.toExponential(precision).replace(/e([+-])(\d)$/, "e$10$2");
}

function hexadecimal(value: unknown, verb: string): string {
  if (typeof value === "string") return Buffer.from(value).toString("hex");
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  return big(value, verb).toString(16);
}

function wrong(verb: string, value: unknown): never {
  const kind = value === null ? "null" : Array.isArray(value) ? "a list" : typeof value;
  throw new CallError(`format: %${verb} doesn't take ${kind}`);
}
