import { describe, expect, test } from "vitest";
import { advance, type Progress, type Request, type Seen, type Stage, stagesOf, start } from "./protocol.ts";

const model: Request = { kind: "model", isWithin: false };
const nested: Request = { kind: "model", isWithin: true };
const structural: Request = { kind: "datastore", isWithin: false };
const share: Request = { kind: "share", isWithin: true };
const ticket = (nonce: string) => ({ nonce });

/** The stage that `seen` leads to, and what it then waits for. */
function step(request: Request, progress: Progress, seen: Seen<{ nonce: string }>) {
  const advanced = advance(request, progress, seen);
  const { stage } = advanced.progress;
  return "blocked" in advanced ? { stage, watch: advanced.watch?.nonce, place: advanced.place } : { stage };
}

describe("the order of steps", () => {
  const follows = (request: Request, earlier: Stage, later: Stage) => {
    const stages = stagesOf(request);
    expect(stages).toContain(earlier);
    expect(stages.indexOf(earlier)).toBeLessThan(stages.indexOf(later));
  };

  test.each([model, nested, structural])("a record is published only under the kernel's lock (%o)", (request) => {
    follows(request, "table", "publish");
  });

  test.each([model, nested, structural, share])(
    "nobody is granted anything without the kernel's lock (%o)",
    (request) => {
      follows(request, "queue", "table");
      follows(request, "table", "granted");
    },
  );

  test("lock-27: a structural command announces itself before it looks who is at work", () => {
    follows(structural, "announce", "foreign");
    follows(structural, "announce", "table");
  });

  test("lock-32: a model's newcomer looks for structural commands before it takes the lock", () => {
    follows(model, "structural", "table");
  });

  test("lock-35: a command that works within a lock doesn't wait for a structural one, which waits for that lock", () => {
    expect(stagesOf(nested)).not.toContain("structural");
    expect(stagesOf(share)).not.toContain("structural");
  });
});

describe("what follows from a look", () => {
  test("lock-20: of many before us only the nearest is watched", () => {
    const before = ["first", "second", "third"].map(ticket);
    expect(step(model, start, { stage: "queue", before })).toEqual({ stage: "queue", watch: "third", place: 3 });
  });

  test("lock-32: structural commands that come after our turn began don't hold us up", () => {
    const at: Progress = { stage: "structural" };
    const first = advance(model, at, { stage: "structural", live: [ticket("early")] });
    expect(step(model, first.progress, { stage: "structural", live: [ticket("early"), ticket("late")] })).toMatchObject(
      {
        stage: "structural",
        watch: "early",
      },
    );
    expect(step(model, first.progress, { stage: "structural", live: [ticket("late")] })).toEqual({ stage: "table" });
  });

  test.each(["busy", "replaced"] as const)("a table lock that is %s stops us", (lock) => {
    expect(step(model, { stage: "table" }, { stage: "table", lock })).toMatchObject({ stage: "table", place: 1 });
  });

  test("an older client's record that comes in before ours sends us back to wait for it", () => {
    const seen = { stage: "publish", foreign: "data/x/.lock" } as const;
    expect(step(model, { stage: "publish" }, seen)).toMatchObject({ stage: "foreign", place: 1 });
  });

  test.each(["announce", "foreign"] as const)("an older client's record stops us at %s", (stage) => {
    expect(step(structural, { stage }, { stage, foreign: "data/x/.lock" })).toMatchObject({ stage, place: 1 });
  });
});
