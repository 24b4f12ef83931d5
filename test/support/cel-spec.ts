/** The public conformance tests of CEL (google/cel-spec), as far as they are about a language without protocol buffers. */
import { tests as conformance } from "@bufbuild/cel-spec/testdata/conformance.js";

/** One test: an expression, values of variables, and what it gives (`error`: anything but a value). */
export interface CelTest {
  /** `basic/self_eval_zeroish/self_eval_int_zero` */
  readonly name: string;
  readonly suite: string;
  readonly expression: string;
  readonly bindings: Readonly<Record<string, unknown>>;
  readonly expected: { readonly value: unknown } | "error";
}

interface Suite {
  readonly name: string;
  readonly tests?: readonly { readonly original: Original }[];
  readonly suites?: readonly Suite[];
}

interface Original {
  readonly name: string;
  readonly expr: string;
  readonly value?: unknown;
  readonly evalError?: unknown;
  readonly anyEvalErrors?: unknown;
  readonly bindings?: Readonly<Record<string, { readonly value?: unknown }>>;
  readonly container?: string;
  readonly checkOnly?: boolean;
  readonly disableCheck?: boolean;
  readonly typedResult?: { readonly result?: unknown };
}

/** About protocol buffers, or about types that are told before anything is computed. */
const leftOut = [
  "proto2",
  "proto2_ext",
  "proto3",
  "enums",
  "wrappers",
  "dynamic",
  "type_deductions",
  "unknowns",
  "block_ext",
];
const aboutMessages = /TestAllTypes|NestedTestAllTypes|google\.protobuf|google\.rpc|cel\.expr|\{\s*single_|proto\./;

export function celTests(): { readonly tests: readonly CelTest[]; readonly leftOut: number } {
  const tests: CelTest[] = [];
  let skipped = 0;
  const visit = ({ name, tests: own = [], suites = [] }: Suite, path: readonly string[]): void => {
    for (const suite of suites) visit(suite, [...path, suite.name]);
    for (const { original } of own) {
      const suite = path[0] ?? name;
      const test = leftOut.includes(suite) ? undefined : asTest(original, suite, path);
      if (test === undefined) skipped++;
      else tests.push(test);
    }
  };
  visit(conformance as Suite, []);
  return { tests, leftOut: skipped };
}

function asTest(test: Original, suite: string, path: readonly string[]): CelTest | undefined {
  const { name, expr: expression, value, evalError, anyEvalErrors, bindings = {}, container = "", checkOnly } = test;
  if (checkOnly === true || container !== "" || aboutMessages.test(JSON.stringify(test))) return undefined;
  const isError = evalError !== undefined || anyEvalErrors !== undefined;
  const wanted = value ?? test.typedResult?.result ?? { boolValue: true };
  const expected = isError ? ("error" as const) : { value: valueOf(wanted) };
  const bound = Object.entries(bindings).map(([key, one]) => [key, valueOf(one.value)]);
  return { name: [...path, name].join("/"), suite, expression, expected, bindings: Object.fromEntries(bound) };
}

function valueOf(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const [[kind, content] = ["", undefined]]: [string, unknown][] = Object.entries(value);
  switch (kind) {
    case "int64Value":
    case "uint64Value":
      return BigInt(String(content));
    case "doubleValue":
      return Number(
        content === "Infinity"
          ? Number.POSITIVE_INFINITY
          : content === "-Infinity"
            ? Number.NEGATIVE_INFINITY
            : content,
      );
    case "bytesValue":
      return new Uint8Array(Buffer.from(String(content), "base64"));
    case "nullValue":
      return null;
    case "listValue":
      return entriesOf(content, "values").map(valueOf);
    case "mapValue":
      return Object.fromEntries(
        entriesOf(content, "entries").map((entry) => [
          String(valueOf(partOf(entry, "key"))),
          valueOf(partOf(entry, "value")),
        ]),
      );
    default:
      return content;
  }
}

function entriesOf(holder: unknown, key: string): readonly unknown[] {
  const list = partOf(holder, key);
  return Array.isArray(list) ? list : [];
}

function partOf(holder: unknown, key: string): unknown {
  return typeof holder === "object" && holder !== null
    ? Object.entries(holder).find(([name]) => name === key)?.[1]
    : undefined;
}
