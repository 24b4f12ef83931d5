/** docs/expressions.md tells of every variable and function that there is, and of the conformance tests what is so. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { variables } from "../../src/expression/cel.ts";
import { makeEnvironment } from "../../src/expression/environment.ts";
import { ownFunctions } from "../../src/expression/functions.ts";
import { root } from "./source.ts";

const page = readFileSync(join(root, "docs/expressions.md"), "utf8");
const code = [...page.matchAll(/`([^`\n]+)`|```[^]*?```/g)].map(([all, inline]) => inline ?? all);
const unused = (): never => {
  throw new Error("nothing is evaluated");
};
const says = (name: string): boolean => code.some((one) => new RegExp(`(^|[^\\w.])${name}\\b|\\.${name}\\(`).test(one));

test("every variable is described", () => {
  expect(variables.filter((name) => !says(name))).toEqual([]);
});

test("every function is described, those of the library included", async () => {
  const environment = await makeEnvironment(unused);
  const { functions } = environment.getDefinitions();
  const names = new Set([
    ...ownFunctions().map(({ name }) => name.replace(/^string\./, "")),
    ...functions.map(({ name, receiverType }) => (receiverType?.endsWith("Namespace") === true ? "" : name)),
  ]);
  expect([...names].filter((name) => name !== "" && !says(name.replace(".", "\\.")))).toEqual([]);
});

test("every call that is shown as code is one that there is", async () => {
  const environment = await makeEnvironment(unused);
  const [told = ""] = page.split("## How close to CEL");
  const calls = [...told.matchAll(/`([\w."[\]]+\([^`\n]*\))`/g)].map((match) => match[1] ?? "");
  expect(calls.length).toBeGreaterThan(90);
  for (const call of calls)
    expect({ call, ...environment.check(call.replace(/^\./, "optional.of(1).")) }).toMatchObject({ call, valid: true });
});

test("the number of conformance tests is the one that is held", () => {
  const held = /passed: (\d+), all: (\d+)/.exec(readFileSync(join(root, "test/conformance/cel.test.ts"), "utf8"));
  expect(page).toContain(`${held?.[1]} of ${held?.[2]} that aren't about protocol buffers pass`);
});
