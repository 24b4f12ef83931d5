/** Every example in docs/workflows.md is one that can be used, and every key of the format has one. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isRecord, parseYaml } from "../../src/repo/yaml.ts";
import { checkWorkflow } from "../../src/workflow/check.ts";
import { forEachKeys, jobKeys, overrideKeys, retryKeys, stepKeys, workflowKeys } from "../../src/workflow/keys.ts";
import { root } from "./source.ts";

const page = readFileSync(join(root, "docs/workflows.md"), "utf8");
const examples = [...page.matchAll(/^```yaml\n([^]*?)^```/gm)].map((match) => match[1] ?? "");

/** A whole workflow, its jobs, or one step: the whole. */
function whole(example: string): unknown {
  const value = parseYaml(example, "docs/workflows.md");
  const id = "9a0d6a52-6f5b-4a0c-9a2e-6b1f0e5d7c10";
  if (!isRecord(value) || Object.hasOwn(value, "id")) return value;
  if (Object.hasOwn(value, "jobs")) return { id, name: "example", ...value };
  return { id, name: "example", jobs: [{ name: "job", steps: [value] }] };
}

describe("docs/workflows.md", () => {
  test.each(examples)("%s", (example) => {
    expect(checkWorkflow(whole(example)).findings).toEqual([]);
  });

  test("shows every key, but for those of drivers, which can't be used", () => {
    const keys = [...workflowKeys, ...jobKeys, ...stepKeys, ...forEachKeys, ...retryKeys, ...overrideKeys];
    const text = examples.join("\n");
    const absent = keys.filter((key) => !new RegExp(`\\b${key}:`).test(text) && !key.startsWith("driver"));
    expect(absent).toEqual([]);
  });
});
