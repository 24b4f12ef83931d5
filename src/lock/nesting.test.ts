import { describe, expect, test } from "vitest";
import { model } from "../../test/support/scripted-locks.ts";
import type { Holding, LockMode, Resource } from "../store/contract.ts";
import { coverOf } from "./nesting.ts";

const [web, db, all] = [model("t/web"), model("t/db"), { kind: "datastore" } as const];
const holding = (resource: Resource, mode: LockMode, nonce = "above"): Holding => ({
  resource,
  mode,
  nonce,
  token: 1,
  pid: 7,
});
const held = (...holdings: Holding[]) => ({ holdings, unshared: [] });
const want = (resource: Resource, mode: LockMode = "exclusive") => ({ resource, mode });
const wouldDeadlock = expect.objectContaining({
  code: "lock_would_deadlock",
  facts: expect.objectContaining({ holderPid: 7 }),
});

describe("lock-34: what a command wants that another called", () => {
  test.each([
    ["the same model", web, "exclusive", web, "exclusive"],
    ["the same model to read", web, "exclusive", web, "shared"],
    ["to read what is read above", web, "shared", web, "shared"],
    ["a model below the datastore", all, "exclusive", web, "exclusive"],
    ["to read below a shared datastore", all, "shared", web, "shared"],
    ["the datastore again", all, "exclusive", all, "exclusive"],
  ] as const)("%s: covered", (_, above, aboveMode, wanted, mode) => {
    const one = holding(above, aboveMode);
    expect(coverOf(want(wanted, mode), held(one))).toBe(one);
  });

  test.each([
    ["to write what is read above", web, "shared", web, "exclusive"],
    ["the whole datastore from within a model", web, "exclusive", all, "exclusive"],
    ["the whole datastore to read, from within a model that is written", web, "exclusive", all, "shared"],
    ["the whole datastore from within a model that is read", web, "shared", all, "exclusive"],
    ["to write below a shared datastore", all, "shared", web, "exclusive"],
  ] as const)("%s: it would wait for its own ancestor, and is told so", (_, above, aboveMode, wanted, mode) => {
    expect(() => coverOf(want(wanted, mode), held(holding(above, aboveMode)))).toThrow(wouldDeadlock);
  });

  test("the error calls it as people do", () => {
    expect(() => coverOf({ ...want(web), label: "web-01" }, held(holding(web, "shared")))).toThrow(
      "wants the lock on web-01 (exclusive), but the command that called it (pid 7) holds web-01 (shared)",
    );
  });

  test("another model has nothing to do with what is held", () => {
    expect(coverOf(want(db), held(holding(web, "exclusive")))).toBeUndefined();
    expect(coverOf(want(db), { holdings: [], unshared: [holding(web, "exclusive")] })).toBeUndefined();
  });

  test("what is held above but can't be shared is never waited for", () => {
    const unshared = { holdings: [], unshared: [holding(web, "exclusive")] };
    expect(() => coverOf(want(web), unshared)).toThrow(wouldDeadlock);
    expect(() => coverOf(want(all), unshared)).toThrow(wouldDeadlock);
  });

  test("a reader below a reader that can't be shared is refused too: a writer in the queue between them would wait for both", () => {
    const unshared = { holdings: [], unshared: [holding(web, "shared")] };
    expect(() => coverOf(want(web, "shared"), unshared)).toThrow(
      expect.objectContaining({ code: "lock_would_deadlock" }),
    );
    expect(coverOf(want(db, "shared"), unshared)).toBeUndefined();
  });

  test("of several the innermost covers", () => {
    const [outer, inner] = [holding(all, "exclusive", "outer"), holding(web, "exclusive", "inner")];
    expect(coverOf(want(web), held(outer, inner))).toBe(inner);
    expect(coverOf(want(db), held(outer, inner))).toBe(outer);
  });

  test("one that covers doesn't hide another that is in the way", () => {
    const [outer, inner] = [holding(all, "exclusive", "outer"), holding(web, "shared", "inner")];
    expect(() => coverOf(want(web), held(outer, inner))).toThrow(wouldDeadlock);
  });
});
