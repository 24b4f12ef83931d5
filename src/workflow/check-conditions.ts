/** What a job or step waits for, as it is written: `dependsOn: [{ job: patch, condition: { type: completed } }]`. */
import type { MapReader } from "../repo/map-reader.ts";
import type { Condition } from "./definition.ts";
import { conditionTypes, jobDependencyKeys, stepDependencyKeys } from "./keys.ts";

interface Dependency {
  readonly name: string;
  readonly condition: Condition;
}

/** More conditions within each other than this aren't meant. */
const maxNesting = 20;

export function readDependencies(reader: MapReader, kind: "job" | "step"): Dependency[] {
  const keys = kind === "job" ? jobDependencyKeys : stepDependencyKeys;
  const hint = `dependsOn: [{ ${kind}: <name>, condition: { type: succeeded } }]`;
  return reader.maps("dependsOn", "dependency", { hint }).map((dependency) => {
    dependency.findings.unknownKeys(dependency.map, keys, { at: dependency.at, misspelt: "error" });
    const name = dependency.text(kind, { required: true, hint }) ?? "";
    const condition = dependency.inner("condition", { required: true, hint: "condition: { type: succeeded }" });
    return { name, condition: condition === undefined ? { type: "always" } : readCondition(condition, 1) };
  });
}

function readCondition(reader: MapReader, depth: number): Condition {
  const type = reader.choice("type", conditionTypes, { required: true });
  if (depth > maxNesting) reader.error("type", `conditions are nested deeper than ${maxNesting}`);
  else if (type === "and" || type === "or") {
    reader.findings.unknownKeys(reader.map, ["type", "conditions"], { at: reader.at, misspelt: "error" });
    const hint = `{ type: ${type}, conditions: [{ type: failed }, { type: skipped }] }`;
    const conditions = reader.maps("conditions", "condition", { required: true, least: 2, hint });
    return { type, conditions: conditions.map((one) => readCondition(one, depth + 1)) };
  } else if (type === "not") {
    reader.findings.unknownKeys(reader.map, ["type", "condition"], { at: reader.at, misspelt: "error" });
    const inner = reader.inner("condition", { required: true, hint: "{ type: not, condition: { type: skipped } }" });
    return { type, condition: inner === undefined ? { type: "always" } : readCondition(inner, depth + 1) };
  } else {
    reader.findings.unknownKeys(reader.map, ["type"], { at: reader.at, misspelt: "error" });
    return { type: type ?? "always" };
  }
  return { type: "always" };
}
