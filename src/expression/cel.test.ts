/** What expressions give, what they depend on, and what is said of those that can't be evaluated. */
import { beforeAll, describe, expect, test } from "vitest";
import { FenError } from "../kernel/errors.ts";
import { Cel } from "./cel.ts";
import type { Scope } from "./scope.ts";
import type { DataRecord, DataSource, ModelSource } from "./sources.ts";
import { isQuick } from "../../test/support/quick.ts";

let cel: Cel;
beforeAll(async () => {
  cel = await Cel.load();
});

const where = { file: "web.yaml", key: "methods.execute.arguments.run", line: 7 };
const parse = (source: string) => cel.parse(source, where);

const record = (name: string, attributes: unknown, version = 1): DataRecord => ({
  ...{ id: `id-${name}`, name, version, createdAt: "2026-01-02T03:04:05.000Z", attributes, tags: { site: "ams" } },
});
const data: DataSource = {
  latest: async (model, name) =>
    name === "missing"
      ? Promise.reject(new FenError("model_missing", `No model is called ${model}.`))
      : name === "none"
        ? undefined
        : record(name, { of: model, n: 3 }),
  version: async (_, name, version) => (version > 3 ? undefined : record(name, {}, version)),
  listVersions: async () => [1, 2, 3],
  findByTag: async (key, value) => [record(`${key}-${value}`, {})],
  findBySpec: async (model, spec) => [record(`${spec}-${model}`, {})],
  contents: async (_, spec) => (spec === "log" ? "text" : undefined),
  outputs: async (_, kind, spec = "result") => ({ [spec]: { one: record("one", { kind }) } }),
};
const models: ModelSource = {
  names: async () => ["web-01", "db"],
  read: async (name, { globalArguments: wanted }) =>
    ["web-01", "db"].includes(name)
      ? {
          ...{ id: "i", name, version: 2, tags: { site: "ams" }, inputs: { pkg: {} } },
          globalArguments: Object.fromEntries([...wanted].map((key) => [key, key === "token" ? "secret" : `${key}!`])),
          ...{ isTainted: wanted.has("token"), isVolatile: false },
        }
      : undefined,
};
const scope: Scope = {
  inputs: { n: 3, x: 5.5, text: "s", list: [1, 2, 3], map: { a: 1 }, hosts: ["a", "b"], nothing: null, i: 1 },
  self: { name: "me", tags: {}, globalArguments: { host: "h1" } },
  env: { HOME: "/home/me", SECRET: "hush" },
  models,
  data,
  now: () => Date.parse("2026-03-16T10:00:00Z"),
};

describe("values", () => {
  test.each([
    // numbers of YAML and numbers that are written
    ["inputs.n == 3", true],
    ["3 == inputs.n && 3.0 == inputs.n", true],
    ["1 == 1.0 && 1 != 1.5", true],
    ["inputs.n + 1", 4],
    ["inputs.n / 2", 1.5],
    ["5 / 2", 2],
    ["inputs.x % 2", 1.5],
    ["inputs.n in [1, 2, 3] && 1.0 in [1, 2]", true],
    ["[1, 2] == [1.0, 2.0] && inputs.list == [1, 2, 3]", true],
    ["inputs.list[inputs.i]", 2],
    ["'' + string(inputs.n) + string(3.0) + string(inputs.x)", "335.5"],
    ["size(inputs.list) == inputs.n", true],
    ["9007199254740993", "9007199254740993"],
    ["5u", 5],
    // any mixture, as in YAML
    ["[1, 'a', null]", [1, "a", null]],
    ["{'a': 1, 'b': ['x']}", { a: 1, b: ["x"] }],
    ["inputs.n > 2 ? 1 : 'a'", 1],
    ["true ? 'a' : null", "a"],
    ["[1] + ['a']", [1, "a"]],
    ["[].all(e, e > 0) && ![].exists(e, e.x == 1)", true],
    // what may be absent
    ["inputs.?nope.orValue(5)", 5],
    ["inputs.?nope", null],
    ["inputs.?n", 3],
    ["inputs[?'nope'].orValue('x')", "x"],
    ["inputs.?map.?b.?c.orValue('deep')", "deep"],
    ["has(inputs.n) && !has(inputs.nope)", true],
    ["has(data.latest('web', 'result').attributes.of)", true],
    ["inputs.nothing == null", true],
    ["inputs.?n.optMap(n, n + 1).orValue(0)", 4],
    ["inputs.?nope.optMap(n, n + 1).orValue(0)", 0],
    ["inputs.?map.optFlatMap(m, m.?a).orValue(0)", 1],
    // two variables
    ["inputs.list.all(i, v, v == i + 1)", true],
    ["inputs.map.exists(k, v, k == 'a' && v == 1)", true],
    ["inputs.hosts.transformList(i, h, string(i) + h)", ["0a", "1b"]],
    ["inputs.map.transformMap(k, v, v > 0, k + string(v))", { a: "a1" }],
    ["inputs.hosts.transformList(i, h, data.latest(h, 'result').attributes.of)", ["a", "b"]],
    // our functions
    ["now()", "2026-03-16T10:00:00Z"],
    ["string(now() - duration('1h'))", "2026-03-16T09:00:00Z"],
    ["'a-b-b'.replace('b', '$&')", "a-$&-$&"],
    ["'a-b-b'.replace('b', 'c', 1)", "a-c-b"],
    ["'%s has %d of %.1f'.format([inputs.hosts, inputs.n, 2])", "[a, b] has 3 of 2.0"],
    ["'abc'.charAt(inputs.i)", "b"],
    ["strings.quote('a\"b')", '"a\\"b"'],
    ["json.parse('{\"a\": [1]}').a[0] + 1", 2],
    ["json.stringify({'a': inputs.list, 'b': 1})", '{"a":[1,2,3],"b":1}'],
    ["base64.decode(base64.encode('hé'))", "hé"],
    ["math.greatest(inputs.n, 7) + math.ceil(inputs.x)", 13],
    // lines, comments, text over lines
    ["inputs.n == 3 // three\n  ? 'yes'\n  : 'no'", "yes"],
    ["'one\n two'", "one  two"],
    ["\"it's\" + ' model.a-b.input '", "it's model.a-b.input "],
    // other models and data
    ["model.web-01.input.globalArguments.host", "host!"],
    ["model['web-01'].definition.inputs.pkg", {}],
    ["model[inputs.n == 1 ? 'x' : 'db'].input.name", "db"],
    ["has(model.nope)", false],
    ["has(model.db) && has(model.db.input.tags.site)", true],
    ["model.db.resource.result.one.attributes.kind + model.db.file.log.one.attributes.kind", "resourcefile"],
    ["data.latest('web', 'result').attributes.of", "web"],
    ["data.latest('web', 'none')", null],
    ["data.latest('web', 'none').?attributes.?of.orValue('-')", "-"],
    ["data.latest('web', 'result', [inputs.text, inputs.n]).name", "result-s-3"],
    ["data.version('web', 'result', 2).version", 2],
    ["data.version('web', 'result', ['a'], inputs.n).name", "result-a"],
    ["data.version('web', 'result', 9)", null],
    ["data.listVersions('web', 'result')[2]", 3],
    ["data.findByTag('a', 'b')[0].name", "a-b"],
    ["data.findBySpec('web', 'result').map(r, r.name)", ["result-web"]],
    ["file.contents('web', 'log') + string(file.contents('web', 'x') == null)", "texttrue"],
    ["inputs.hosts.map(h, data.latest(h, 'result').attributes.of)", ["a", "b"]],
    ["inputs.hosts.exists(h, data.latest(h, 'result').attributes.of == 'b')", true],
    ["true || data.latest('web', 'result').nothing", true],
  ])("%s", async (source, value) => {
    expect(await parse(source).evaluate(scope)).toEqual(value);
  });

  test("ten thousand reads in one expression are made many at once, each once", async () => {
    const asked = new Map<string, number>();
    let atWork = 0;
    let most = 0;
    const counting: DataSource = {
      ...data,
      latest: async (model) => {
        asked.set(model, (asked.get(model) ?? 0) + 1);
        most = Math.max(most, ++atWork);
        await Promise.resolve();
        atWork--;
        return record("r", { of: model });
      },
    };
    const hosts = Array.from({ length: 10_000 }, (_, index) => `h${index}`);
    const source = "inputs.hosts.map(h, data.latest(h, 'result').attributes.of)";
    expect(await parse(source).evaluate({ ...scope, data: counting, inputs: { hosts } })).toEqual(hosts);
    expect([...asked.values()].every((times) => times === 1)).toBe(true);
    expect(most).toBeGreaterThan(8);
  });

  test("a read that turns out not to be needed may fail", async () => {
    const source =
      "data.latest('web', 'none') == null ? 'new' : data.latest('web', 'missing').attributes.x + data.latest('b', 'c').name";
    expect(await parse(source).evaluate(scope)).toBe("new");
    await expect(parse(source.replace("none", "some")).evaluate(scope)).rejects.toMatchObject({
      message: expect.stringContaining("No model is called web."),
    });
  });

  test("the time is the same in all of one expression", async () => {
    let time = 0;
    expect(await parse("now() == now()").evaluate({ now: () => (time += 1000) })).toBe(true);
  });
});

describe("dependencies are known without evaluating", () => {
  const flat = (source: string) => {
    const {
      inputs,
      self,
      env,
      models: named,
      data: calls,
      vaults,
      globalArguments,
      ...flags
    } = parse(source).dependencies;
    const sets = { inputs, self, env, models: named, vaults, globalArguments };
    const filled = Object.entries(sets).flatMap(([name, set]) => (set.size === 0 ? [] : [[name, [...set].sort()]]));
    const on = Object.entries(flags).flatMap(([name, value]) => (value ? [[name, true]] : []));
    return { ...Object.fromEntries(filled), ...(calls.length === 0 ? {} : { data: calls }), ...Object.fromEntries(on) };
  };

  test.each([
    ["1 + 2", {}],
    ["inputs.a + inputs['b'] + inputs.c.d", { inputs: ["a", "b", "c"] }],
    ["inputs[self.name]", { inputs: ["*"], self: ["name"] }],
    ["size(inputs)", { inputs: ["*"] }],
    ["self.globalArguments.host + self.tags.site", { self: ["globalArguments", "tags"], globalArguments: ["host"] }],
    ["self", { self: ["*"], globalArguments: ["*"] }],
    ["env.HOME", { env: ["HOME"], isTainted: true }],
    ["[1].map(inputs, inputs + 1)", {}],
    ["self.l.all(inputs, env, inputs + env)", { self: ["l"] }],
    ["inputs.m.transformMap(k, v, k + v + self.name)", { inputs: ["m"], self: ["name"] }],
    ["inputs.?a.optMap(self, self.b + env.C)", { inputs: ["a"], env: ["C"], isTainted: true }],
    ["cel.bind(inputs, self.name, inputs + env.A)", { self: ["name"], env: ["A"], isTainted: true }],
    ["model.web-01.input.tags.site + model.db.definition.name", { models: ["db", "web-01"] }],
    ["model[inputs.m].input.name", { inputs: ["m"], isOpen: true }],
    ["model.db.resource.result.one", { data: [{ function: "resource", model: "db", name: "result" }], usesData: true }],
    ["data.latest('web', 'result')", { data: [{ function: "latest", model: "web", name: "result" }], usesData: true }],
    [
      "data.latest('web', 'result', ['a', 1])",
      { data: [{ function: "latest", model: "web", name: "result-a-1" }], usesData: true },
    ],
    [
      "data.version('web', 'result', 3)",
      { data: [{ function: "version", model: "web", name: "result" }], usesData: true },
    ],
    [
      "data.latest(self.h, 'result')",
      { self: ["h"], data: [{ function: "latest", name: "result" }], usesData: true, isOpen: true },
    ],
    ["data.findByTag('a', 'b')", { data: [{ function: "findByTag" }], usesData: true, isOpen: true }],
    ["file.contents('web', 'log')", { data: [{ function: "contents", model: "web", name: "log" }], usesData: true }],
    ["now() > timestamp('2026-01-01T00:00:00Z')", { usesTime: true }],
    ["has(inputs.a) ? inputs.a : env.B", { inputs: ["a"], env: ["B"], isTainted: true }],
    ["inputs.?a.orValue(self.b)", { inputs: ["a"], self: ["b"] }],
  ])("%s", (source, wanted) => {
    expect(flat(source)).toEqual(wanted);
  });

  test("only the global arguments that are used are asked for", async () => {
    const asked: string[][] = [];
    const noting: ModelSource = {
      ...models,
      read: (name, wanted) => (asked.push([...wanted.globalArguments]), models.read(name, wanted)),
    };
    for (const source of ["model.db.input.name", "model.db.input.globalArguments.a", "model.db.input", "model.db"])
      await parse(source).evaluate({ models: noting });
    expect(asked).toEqual([[], ["a"], ["*"], ["*"]]);
  });
});

describe("an expression that can't be evaluated", () => {
  const refused = async (source: string, within: Scope = scope): Promise<FenError> => {
    try {
      await parse(source).evaluate(within);
    } catch (error) {
      if (error instanceof FenError) return error;
      throw error;
    }
    throw new Error(`${source} was evaluated`);
  };

  test("is told with file, line, key, a caret, and the values at fault", async () => {
    expect((await refused("'at ' + inputs.text + inputs.n")).message).toBe(
      `web.yaml:7 (methods.execute.arguments.run): + doesn't work on string and double
  'at ' + inputs.text + inputs.n
  ^
  'at ' + inputs.text is "at s" (text)
  inputs.n is 3 (number)`,
    );
    expect((await refused("inputs.map.b")).message).toBe(
      `web.yaml:7 (methods.execute.arguments.run): nothing is called b here
  inputs.map.b
             ^
  inputs.map is a map of a`,
    );
  });

  test("shows the line of the expression that is at fault", async () => {
    expect((await refused("inputs.n == 3\n  ? model.web-01.input.nope\n  : 0")).message).toBe(
      `web.yaml:7 (methods.execute.arguments.run): nothing is called nope here
    ? model.web-01.input.nope
                         ^
  model.web-01.input is a map of id, name, version, tags, globalArguments`,
    );
  });

  test.each([
    ["env.SECRET + inputs.n", "env.SECRET is text"],
    ["env.SECRET[inputs.n].x", ""],
    ["model.db.input.globalArguments.token + 1", "token is text"],
    ["inputs.text + inputs.n", "inputs.text is text"],
    ["int(env.SECRET)", ""],
    ["timestamp(env.SECRET)", ""],
    ["json.parse(env.SECRET)", ""],
    ["timestamp(env.SECRET)", ""],
    ["data.latest(env.SECRET, 'missing')", "can't be read (model_missing)"],
    ["bool(env.SECRET)", ""],
    ["'a'.matches(env.SECRET + '(')", ""],
    ["{'a': 1}[env.SECRET]", ""],
    ["inputs[env.SECRET]", ""],
    ["model[env.SECRET].input.name", ""],
    ["data.latest(env.SECRET, 'x').attributes.y", ""],
    ["'%d'.format([env.SECRET])", ""],
  ])("never shows what comes from the environment: %s", async (source, said) => {
    const tainted = new Set(["inputs.text"]);
    const error = await refused(source, { ...scope, inputs: { text: "hush", n: 3 }, tainted });
    const all = JSON.stringify([error.message, error.hint, error.facts]);
    expect(all).not.toContain("hush");
    expect(all).not.toContain("secret");
    expect(error.message).toContain(said);
  });

  test.each([
    ["input.n", "expression_invalid", "there is no variable input", "Did you mean inputs?"],
    [
      "inputs.my-key",
      "expression_invalid",
      "there is no variable key",
      'A name with a hyphen is written in brackets: inputs["some-key"]',
    ],
    ["model", "expression_invalid", "model needs the name of one", /check it with/],
    ["vault.get(my-vault, key)", "expression_not_yet", "can't be read yet", /env\.NAME/],
    ["vault.get('v', inputs.k)", "expression_not_yet", "can't be read yet", /env\.NAME/],
    ["today()", "expression_invalid", "there is no today()", /check it with/],
    [
      "'a' + 1",
      "expression_invalid",
      "+ doesn't work on string and int",
      "Make the number a text first: 'port ' + string(inputs.port)",
    ],
    ["1 +", "expression_invalid", "Unexpected token", /check it with/],
    ["inputs.nn", "expression_failed", "nothing is called nn here", "Did you mean n?"],
    ["inputs.zzzzz", "expression_failed", "nothing is called zzzzz here", /--input zzzzz=/],
    ["env.NOPE", "expression_failed", "nothing is called NOPE here", "Set the environment variable NOPE."],
    ["model.web-02.input.name", "expression_failed", "no model is called web-02", "Did you mean web-01?"],
    ["1 / 0", "expression_failed", "division by zero", /check it with/],
    ["inputs.list[7]", "expression_failed", "index out of bounds", /check it with/],
    ["json.parse('{')", "expression_failed", "the text isn't JSON", /check it with/],
    ["data.version('web', 'result', 1.5)", "expression_failed", "a whole number is needed", /check it with/],
  ])("%s", async (source, code, message, hint) => {
    const error = await refused(source);
    expect(error.code).toBe(code);
    expect(error.message).toContain(`web.yaml:7 (methods.execute.arguments.run): `);
    expect(error.message).toContain(message);
    expect(error.hint).toMatch(hint);
  });

  test.each([
    ["self.name", { inputs: {} }, "There are: inputs."],
    ["data.latest('a', 'b')", { inputs: {}, models }, "There are: inputs, model."],
    ["now()", { env: {} }, "There are: env."],
  ])("a variable that isn't there at all is told with those that are: %s", async (source, within, hint) => {
    expect(await refused(source, within)).toMatchObject({ code: "expression_failed", hint });
  });

  test.skipIf(isQuick)("a hostile one ends after seconds, also behind a read", async () => {
    const many = "inputs.list";
    const nested = ["a", "b", "c", "d", "e", "f"].reduceRight((body, name) => `${many}.all(${name}, ${body})`, "true");
    const list = Array.from({ length: 60 }, (_, index) => index);
    const error = await refused(`data.latest('a', 'b') != null && ${nested}`, { ...scope, inputs: { list } });
    expect(error.message).toContain("takes longer than 5 s");
  });

  test("deprecated forms are warned of", () => {
    expect(parse("model.db.resource.result.one").warnings).toEqual([
      {
        message: "web.yaml:7 (methods.execute.arguments.run): model.db.resource is deprecated.",
        hint: 'Use data.latest("db", "result") instead.',
      },
    ]);
    expect(parse("model.db.input.name").warnings).toEqual([]);
  });
});

test("a value that is larger than anything could keep is an error, at once", async () => {
  const cel = await Cel.load();
  const nested = (levels: number) =>
    Array.from({ length: levels }).reduce<string>((inner) => `[1,2,3,4,5,6,7,8,9,10].map(x, ${inner})`, "1");
  const sizeOf = async (source: string) =>
    JSON.stringify(await cel.parse(source, { file: "x.yaml", key: "a", path: ["a"], line: 1 }).evaluate({})).length;
  expect(await sizeOf(nested(3))).toBeGreaterThan(2000);
  const doubled = (levels: number) => {
    let source = `v${levels}`;
    for (let at = levels; at > 0; at--)
      source = `cel.bind(v${at}, [${Array.from({ length: 10 }, () => `v${at - 1}`).join(",")}], ${source})`;
    return `cel.bind(v0, 1, ${source})`;
  };
  await expect(sizeOf(doubled(8))).rejects.toThrow("more than 1000000 values");
});
