/** Whole values: what of them is text, what may be stored, what they see. */
import { beforeAll, describe, expect, test } from "vitest";
import { Cel } from "./cel.ts";
import { compileValue } from "./compile.ts";
import { GlobalArguments } from "./global-arguments.ts";
import { resolveArguments } from "./resolve.ts";
import type { DataSource, ModelSource } from "./sources.ts";

let cel: Cel;
beforeAll(async () => {
  cel = await Cel.load();
});
const place = { file: "web.yaml", path: ["a"], locate: () => undefined };
const compiled = (value: unknown) => compileValue(cel, value, place);

/** Every read finds a newer version. */
function busyData(): DataSource {
  let version = 0;
  const none = () => Promise.reject(new Error("not asked for"));
  return {
    latest: async (_, name) => ({ id: "i", name, version: ++version, createdAt: "", attributes: {}, tags: {} }),
    ...{ version: none, listVersions: none, findByTag: none, findBySpec: none, contents: none, outputs: none },
  };
}

describe("a value", () => {
  test("keeps its type where one expression is all of it, and is text where it isn't", async () => {
    const value = {
      list: "${{ inputs.list }}",
      text: "<${{ inputs.list }}>",
      nothing: "<${{ null }}>",
      both: "${{ inputs.a }}-${{ inputs.a + 1 }}",
      number: 3,
      "${{ key }}": ["${{ inputs.a }}", { deep: "${{ inputs.a == 1 }}" }],
    };
    expect(await compiled(value).resolve({ inputs: { list: [1, "x"], a: 1 } })).toEqual({
      list: [1, "x"],
      text: '<[1,"x"]>',
      nothing: "<>",
      both: "1-2",
      number: 3,
      "${{ key }}": [1, { deep: true }],
    });
  });

  test("sees the same data in all of its texts", async () => {
    const call = "${{ data.latest('a', 'b').version }}";
    const value = compiled({ one: call, two: [call, `${call}/${call}`] });
    expect(await value.resolve({ data: busyData() })).toEqual({ one: 1, two: [1, "1/1"] });
  });

  test("knows what all of its texts depend on", () => {
    const value = compiled({ a: "${{ inputs.x }}", b: ["${{ env.Y }} ${{ model.z.input.name }}"], c: "plain" });
    expect(value.hasExpressions).toBe(true);
    expect(value.dependencies).toMatchObject({ isTainted: true, usesData: false, isOpen: false });
    expect([...value.dependencies.inputs, ...value.dependencies.env, ...value.dependencies.models]).toEqual([
      ...["x", "Y", "z"],
    ]);
    expect(value.entry("a")?.dependencies.isTainted).toBe(false);
    expect(compiled({ c: "${plain} {{ text }}" }).hasExpressions).toBe(false);
  });

  test("may be stored but for what comes from the environment, from where it is said to, or from another model's", async () => {
    const value = compiled({
      plain: "${{ inputs.a }}",
      env: "x ${{ env.T }}",
      said: "${{ inputs.b }}",
      part: "${{ inputs.c.d }}",
      whole: "${{ size(inputs) }}",
    });
    const scope = {
      inputs: { a: 1, b: 2, c: { d: 3, e: 4 } },
      env: { T: "t" },
      tainted: new Set(["inputs.b", "inputs.c.e"]),
    };
    expect(await value.resolve(scope)).toEqual({ plain: 1, env: "x t", said: 2, part: 3, whole: 3 });
    expect(await value.resolve(scope, { storable: true })).toEqual({
      plain: 1,
      env: "x ${{ env.T }}",
      said: "${{ inputs.b }}",
      part: 3,
      whole: "${{ size(inputs) }}",
    });
  });

  test("that reads another model's secret twice stores it in neither place, and no error of either tells it", async () => {
    const secret = "model.db.input.globalArguments.p";
    const models: ModelSource = {
      names: async () => ["db"],
      read: async (name) => ({
        ...{ id: "i", name, version: 1, tags: {}, globalArguments: { p: "q7w9-hush" } },
        ...{ isTainted: true, isVolatile: true },
      }),
    };
    const value = compiled({ one: `\${{ ${secret} }}`, two: `<\${{ ${secret} }}>` });
    const outcome = await value.run({ models });
    expect(outcome.value).toEqual({ one: "q7w9-hush", two: "<q7w9-hush>" });
    expect(outcome.storable).toEqual({ one: `\${{ ${secret} }}`, two: `<\${{ ${secret} }}>` });
    expect(await compiled(`\${{ ${secret} }}`).run({ models, storableOnly: true })).toMatchObject({
      value: `\${{ ${secret} }}`,
    });
    const failing = compiled({ one: `\${{ ${secret} }}`, two: `\${{ {"a": 1}[${secret}] }}` });
    const error: unknown = await failing.run({ models }).catch((thrown: unknown) => thrown);
    expect(String(error)).toContain("nothing is called so here");
    expect(String(error)).not.toContain("q7w9-hush");
  });

  test("give, where they are stored to be evaluated again, the same value: a text in it that looks like an expression isn't one", async () => {
    const said = '${{ env.T }} "q" \\ \n $${{ x }}';
    const value = compiled({ text: "<${{ inputs.said }}>", deep: "${{ inputs.deep }}", split: "$${{ inputs.half }}" });
    const inputs = { said, deep: [{ a: said }, 1], half: "{{ env.T }}" };
    const expected = { text: `<${said}>`, deep: inputs.deep, split: "${{ env.T }}" };
    const { value: now, storable } = await value.run({ inputs, env: { T: "t" }, storableOnly: true });
    expect(now).toEqual(expected);
    expect(await compiled(storable).run({ env: { T: "t" } })).toMatchObject({ value: expected, isTainted: false });
  });
});

describe("global arguments", () => {
  const of = (globalArguments: Record<string, unknown>) =>
    new GlobalArguments(cel, { id: "i", name: "web", version: 1, tags: {}, globalArguments }, { ...place });

  test("use each other, in whatever order they are written", async () => {
    const globals = of({ c: "${{ self.globalArguments.b }}!", b: "${{ self.globalArguments.a + 1 }}", a: 1 });
    expect(await globals.value("c", {})).toMatchObject({ value: "2!" });
    expect([...globals.dependencies(["c"]).globalArguments]).toEqual(["b", "a"]);
  });

  test("evaluate only what is asked for", async () => {
    const globals = of({ good: "${{ 1 + 1 }}", bad: "${{ inputs.nothing }}" });
    expect((await globals.scope({ inputs: {} }, new Set(["good"]))).self?.["globalArguments"]).toEqual({ good: 2 });
    await expect(globals.value("bad", { inputs: {} })).rejects.toMatchObject({ code: "expression_failed" });
  });

  test("hand on that they come from the environment", async () => {
    const globals = of({ token: "${{ env.T }}", url: "x/${{ self.globalArguments.token }}", host: "h" });
    const scope = { env: { T: "t" } };
    expect(await globals.value("url", scope)).toMatchObject({
      value: "x/t",
      storable: "x/${{ self.globalArguments.token }}",
    });
    expect([...((await globals.scope(scope, new Set(["*"]))).tainted ?? [])]).toEqual([
      "self.globalArguments.token",
      "self.globalArguments.url",
    ]);
  });

  test("that depend on data are evaluated anew each time, others once", async () => {
    const globals = of({ v: "${{ data.latest('a', 'b').version }}" });
    const data = busyData();
    expect([await globals.value("v", { data }), await globals.value("v", { data })]).toMatchObject([
      { value: 1, isVolatile: true },
      { value: 2 },
    ]);
  });
});

describe("arguments of a step", () => {
  const definition = {
    ...{ id: "i", name: "web", version: 1, tags: {}, globalArguments: {} },
    inputs: { properties: { pkg: { type: "string", default: "curl" }, n: { type: "integer" } } },
    methods: { execute: { arguments: { run: "${{ inputs.pkg }} ${{ inputs.site }}", timeout: "${{ inputs.n }}" } } },
  };
  const base = {
    definition,
    file: "web.yaml",
    text: "",
    method: "execute",
    argumentNames: ["run", "timeout"],
    env: {},
  };

  test("see the inputs of the workflow below their own", async () => {
    const workflowInputs = { site: "ams", pkg: "git", n: "5" };
    expect((await resolveArguments({ ...base, inputs: {}, workflowInputs })).arguments).toEqual({
      run: "git ams",
      timeout: 5,
    });
    expect((await resolveArguments({ ...base, inputs: { pkg: "vim" }, workflowInputs })).arguments).toEqual({
      run: "vim ams",
      timeout: 5,
    });
  });

  test("that come from the environment are passed on and not stored", async () => {
    const { arguments: passed, storable } = await resolveArguments({
      ...base,
      inputs: { pkg: "hush", timeout: 7 },
      workflowInputs: { site: "ams" },
      taintedInputs: new Set(["pkg", "timeout"]),
    });
    expect(passed).toEqual({ run: "hush ams", timeout: 7 });
    expect(storable).toEqual({ run: "${{ inputs.pkg }} ${{ inputs.site }}", timeout: "***" });
  });

  test("without expressions are resolved without the library", async () => {
    const plain = { ...definition, methods: { execute: { arguments: { run: "echo ${VAR} {{ x }}" } } } };
    const resolved = await resolveArguments({ ...base, definition: plain, inputs: { timeout: 5 } });
    expect(resolved).toMatchObject({ arguments: { run: "echo ${VAR} {{ x }}", timeout: 5 } });
  });
});
