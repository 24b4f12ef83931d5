/** Values on their way out of the CEL library: as JSON would have them, and as text. */
import { isRecord } from "../repo/yaml.ts";

/** More would be a mistake: one list in another eight times over is more than any machine can hold. */
const mostValues = 1_000_000;
const mostText = 32 * 1024 * 1024;

/** What a value may still hold. Each use of one that is shared counts. */
interface Room {
  values: number;
  text: number;
}

/**
 * CEL's own types as plain values: whole numbers that are safe as numbers, times as text, an empty optional as null. Throws where it is too large to be
 * kept or shown.
 */
export function toPlain(value: unknown): unknown {
  return plain(value, { values: mostValues, text: mostText });
}

function plain(value: unknown, room: Room): unknown {
  if (--room.values < 0) throw new Error(`it gives more than ${mostValues} values`);
  if (typeof value === "string" && (room.text -= value.length) < 0)
    throw new Error(`it gives more than ${mostText / 1024 / 1024} MiB of text`);
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (Array.isArray(value)) return value.map((one) => plain(one, room));
  if (value instanceof Date) return timeAsText(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, one]) => [String(key), plain(one, room)]));
  if (!isRecord(value)) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null)
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one, room)]));
  if (isOptional(value)) return value.hasValue() ? plain(value.value(), room) : null;
  const inner = value.valueOf();
  if (typeof inner === "bigint") return plain(inner, room);
  return "name" in value && typeof value["name"] === "string" ? value["name"] : String(value);
}

interface OptionalValue {
  readonly constructor: { of(value: unknown): unknown };
  hasValue(): boolean;
  value(): unknown;
}

/** A value of the library that may be absent. */
export function isOptional(value: unknown): value is OptionalValue {
  return typeof value === "object" && value !== null && "hasValue" in value && typeof value.hasValue === "function";
}

/** RFC 3339, without a fraction where there is none. */
export function timeAsText(time: Date): string {
  return time.toISOString().replace(/\.000Z$/, "Z");
}

/** A value inside of other text: null is nothing, lists and maps are JSON on one line. */
export function asText(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
