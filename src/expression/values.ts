/** Values on their way out of the CEL library: as JSON would have them, and as text. */
import { isRecord } from "../repo/yaml.ts";

/** CEL's own types as plain values: whole numbers that are safe as numbers, times as text, an empty optional as null. */
export function toPlain(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (Array.isArray(value)) return value.map(toPlain);
  if (value instanceof Date) return timeAsText(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, one]) => [String(key), toPlain(one)]));
  if (!isRecord(value)) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null)
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, toPlain(one)]));
  if (isOptional(value)) return value.hasValue() ? toPlain(value.value()) : null;
  const inner = value.valueOf();
  if (typeof inner === "bigint") return toPlain(inner);
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

/** A value inside of other text: null is nothing, lists and maps are JSON. */
export function asText(value: unknown): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value, undefined, 2) : String(value);
}
