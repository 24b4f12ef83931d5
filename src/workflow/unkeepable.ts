/** Numbers that are infinite or none: JSON has no word for them, so after a resume they would be other values than before. */
import { isRecord, type YamlPath } from "../repo/yaml.ts";

/** Where the first of them is in a value; undefined where there is none. */
export function unkeepable(value: unknown, at: YamlPath = []): YamlPath | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? undefined : at;
  const children = Array.isArray(value) ? value.entries() : isRecord(value) ? Object.entries(value) : [];
  for (const [key, child] of children) {
    const found = unkeepable(child, [...at, key]);
    if (found !== undefined) return found;
  }
  return undefined;
}
