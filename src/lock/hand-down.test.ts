import { describe, expect, test } from "vitest";
import { model } from "../../test/support/scripted-locks.ts";
import type { Holding } from "../store/contract.ts";
import { handDown, heldLocksVariable, readHandedDown } from "./hand-down.ts";

const web: Holding = { resource: model("@acme/net/web"), mode: "shared", nonce: "w", token: 3, pid: 7, descriptor: 40 };
const remote: Holding = { resource: model("t/remote"), mode: "exclusive", nonce: "r", token: 4, pid: 7 };
const share: Holding = {
  resource: { kind: "datastore" },
  mode: "exclusive",
  nonce: "s",
  token: 5,
  pid: 8,
  under: "x",
  descriptor: 50,
};

describe("what is handed down", () => {
  test("a child reads what was said, with the descriptors at the places where it gets them", () => {
    const { descriptors, env } = handDown([web, remote, share]);
    expect(descriptors).toEqual([40, 50]);
    expect(readHandedDown(env)).toEqual([{ ...web, descriptor: 3 }, remote, { ...share, descriptor: 4 }]);
  });

  test("one who holds nothing says nothing", () => {
    expect(handDown([])).toEqual({ descriptors: [], env: {} });
    expect(readHandedDown({})).toEqual([]);
  });

  const said = (change: Record<string, unknown>) => {
    const [one] = JSON.parse(handDown([web]).env[heldLocksVariable] ?? "");
    return readHandedDown({ [heldLocksVariable]: JSON.stringify([{ ...one, ...change }]) });
  };

  test.each([{ fd: 0 }, { fd: 2 }, { fd: -1 }, { fd: 3.5 }, { fd: "3" }])("%o is no place of a descriptor", (wrong) => {
    expect(said({})).toMatchObject([{ descriptor: 3 }]);
    expect(said(wrong)[0]).not.toHaveProperty("descriptor");
  });

  test.each([{ mode: "x" }, { nonce: 1 }, { token: "1" }, { pid: null }, { resource: "nonsense" }, { resource: 1 }])(
    "with %o it is as if it were not said",
    (wrong) => {
      expect(said(wrong)).toEqual([]);
    },
  );

  test.each(["", "{", "null", "7", "[1, null]", "x".repeat(100_000)])(
    "nonsense in the variable is no error (%#)",
    (text) => {
      expect(readHandedDown({ [heldLocksVariable]: text })).toEqual([]);
    },
  );
});
