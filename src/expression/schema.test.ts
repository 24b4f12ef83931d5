import { describe, expect, test } from "vitest";
import { checkInputsSchema } from "./inputs-schema.ts";
import { misfits, showPath, strayKeys } from "./schema.ts";

const server = { type: "object", properties: { host: { type: "string" }, port: { type: "integer" } } };
const schema = {
  additionalProperties: false,
  properties: {
    server,
    closed: { ...server, additionalProperties: false },
    list: { type: "array", items: server },
    byName: { type: "object", additionalProperties: server },
    env: { type: "object", additionalProperties: { type: "string" } },
    any: {},
  },
};
const told = (value: unknown) =>
  strayKeys(value, schema).map(({ path, hint }) => `${path.join(".")}: ${hint.split(".")[0]}`);

describe("stray keys", () => {
  test("are told at any depth, with the nearest that is known", () => {
    expect(told({ server: { hots: "a", port: 1 } })).toEqual(["server.hots: Did you mean host?"]);
    expect(told({ list: [{ host: "a" }, { prot: 1 }] })).toEqual(["list.1.prot: Did you mean port?"]);
    expect(told({ byName: { ams: { host: "a" }, hots: { hostt: "b" } } })).toEqual([
      "byName.hots.hostt: Did you mean host?",
    ]);
    expect(told({ sever: {}, zebra: 1 })).toEqual([
      "sever: Did you mean server?",
      expect.stringMatching(/^zebra: Known keys: server,/),
    ]);
  });

  test("where others are permitted only those are told that are nearly a known one; where none are, all", () => {
    expect(told({ server: { owner: "x" } })).toEqual([]);
    expect(told({ closed: { owner: "x" } })).toEqual([expect.stringMatching(/^closed\.owner: Known keys: host, port/)]);
  });

  test("what a schema says nothing of is nobody's mistake", () => {
    expect(told({ env: { HOTS: "x" }, any: { hots: [{ prot: 1 }] }, server: "${{ inputs.server }}" })).toEqual([]);
  });
});

test("what doesn't fit is told with its place, at any depth, but for what isn't known yet", () => {
  const wanted = {
    required: ["name"],
    additionalProperties: false,
    properties: {
      name: { type: "string", enum: ["a", "b"] },
      list: { type: "array", minItems: 2, uniqueItems: true, items: { type: "integer", exclusiveMinimum: 0 } },
      byName: { type: "object", additionalProperties: { type: "boolean" } },
    },
  };
  const isOpen = (value: unknown) => value === "?";
  const of = (value: unknown) =>
    misfits(value, wanted, ["it"], isOpen).map(({ path, problem }) => `${showPath(path)}: ${problem.split(".")[0]}`);
  expect(of({ list: [0], byName: { x: 1 }, more: 1 })).toEqual([
    ...["it.name: is missing", "it.list: needs at least 2 items", "it.list[0]: must be more than 0"],
    ...["it.byName.x: must be of type boolean", "it.more: no such key"],
  ]);
  expect(of({ name: "c", list: [1, 1] })).toEqual(["it.name: must be one of a, b", "it.list: items must differ"]);
  expect([of("?"), of({ name: "?", list: ["?", "?"], byName: { x: "?" } }), of([])]).toEqual([[], [], []]);
});

test("a declaration of inputs is looked through as deep as it goes", () => {
  const property = { type: "array", items: { type: "object", properties: { host: { type: "string", defualt: "a" } } } };
  expect(checkInputsSchema({ properties: { servers: property } })).toEqual([
    {
      path: ["properties", "servers", "items", "properties", "host", "defualt"],
      message: "input servers: unknown key defualt",
      hint: expect.stringContaining("Did you mean default?"),
    },
  ]);
});
