/** The steps of one claim, answered by hand. Every order of them is searched in test/simulation. */
import { describe, expect, test } from "vitest";
import { answered, type Acquisition, acquire, asked, commitHead, giveBack, standing, wakeUp } from "./acquisition.ts";
import type { Answer, Ask } from "./ask.ts";
import { type Entry, enqueue, enter, freshState, type LockState, withdraw } from "./record.ts";
import { soundRules, timing } from "./rules.ts";

const times = timing();
const who = { holder: "", hostname: "", pid: 0, command: "", since: "" };
const entry = (nonce: string, more: Partial<Entry> = {}): Entry => ({ nonce, mode: "exclusive", who, ...more });
const [me, other, third] = [entry("me"), entry("other"), entry("third")];
const record = (state: LockState, etag: string): Answer => ({ is: "record", state, etag });

/** What it asks, answered one after the other. */
function told(all: Acquisition, answers: readonly Answer[], now = 0): Acquisition {
  return answers.reduce((one, answer) => answered(one, answer, now), all);
}

const doing = (all: Acquisition): Ask["do"] | undefined => asked(all)?.do;
const done = (etag: string): Answer => ({ is: "done", etag });

const held = enter(freshState, other);
const queued = enqueue(held, me);

/** `me` in the queue behind `other`. */
function waiting(): Acquisition {
  const all = told(acquire("a/1", me, { rules: soundRules, times }), [done("c1"), record(held, "r1"), done("r2")]);
  expect(standing(all)).toBe("waiting");
  return all;
}

/** `me` as holder. */
function holding(): Acquisition {
  const answers: Answer[] = [done("c1"), { is: "absent" }, done("r1"), { is: "absent" }];
  const all = told(acquire("a/1", me, { rules: soundRules, times }), answers);
  expect(standing(all)).toBe("held");
  return all;
}

describe("naming", () => {
  test("whoever leaves makes the next in line a holder with a token of its own, and nobody else", () => {
    const after = withdraw(enqueue(queued, third), "other");
    expect(after.holders).toEqual([{ ...me, token: 2 }]);
    expect(after.queue).toEqual([third]);
    expect(after.token).toBe(2);
  });

  test("all who share become holders at once, up to the first that doesn't", () => {
    const [a, b, c] = [entry("a", { mode: "shared" }), entry("b", { mode: "shared" }), entry("c", { mode: "shared" })];
    const after = withdraw([a, b, third, c].reduce(enqueue, held), "other");
    expect(after.holders.map((one) => one.nonce)).toEqual(["a", "b"]);
    expect(after.queue.map((one) => one.nonce)).toEqual(["third", "c"]);
  });

  test("one that stands back for a structural command isn't named, and keeps its place", () => {
    const after = withdraw(enqueue(enqueue(held, { ...me, yields: true }), third), "other");
    expect(after.holders).toEqual([]);
    expect(after.queue.map((one) => one.nonce)).toEqual(["me", "third"]);
  });

  test("one that gives up its place in the queue names whom only it kept out", () => {
    const [reader, late] = [entry("reader", { mode: "shared" }), entry("late", { mode: "shared" })];
    const after = withdraw(enqueue(enqueue(enter(freshState, reader), me), late), "me");
    expect(after.holders.map((one) => one.nonce)).toEqual(["reader", "late"]);
  });

  test("who finds itself named asks for nothing but the datastore's record before it holds", () => {
    const named = told(wakeUp(waiting(), "record", 100), [record(withdraw(queued, "other"), "r3")]);
    expect(asked(named)).toEqual({ do: "read-record", key: "datastore" });
    expect(standing(named)).toBe("asking");
    expect(standing(told(named, [{ is: "absent" }]))).toBe("held");
  });

  test("who finds itself named beside a structural command stands back", () => {
    const structural = enter(freshState, entry("gc"));
    const named = told(wakeUp(waiting(), "record", 100), [record(withdraw(queued, "other"), "r3")]);
    const back = asked(told(named, [record(structural, "d1")]));
    expect(back).toMatchObject({ do: "write-record", state: { holders: [], queue: [{ nonce: "me", yields: true }] } });
  });

  test("one that gives up without knowing that it was named names the next", () => {
    const leaving = told(giveBack(waiting()), [
      { is: "refused" },
      record(enqueue(withdraw(queued, "other"), third), "r3"),
    ]);
    expect(asked(leaving)).toMatchObject({ do: "write-record", state: { holders: [{ nonce: "third" }], queue: [] } });
  });
});

describe("the dead", () => {
  const claims = (etag: string): Answer => ({
    is: "claims",
    claims: [{ key: "a/1", nonce: "other", etag }],
  });
  const look = (all: Acquisition, etag: string, now: number) => told(wakeUp(all, "claims", now), [claims(etag)], now);

  test("a holder whose claim didn't change for the quiet period is ended, on condition of that claim", () => {
    const early = wakeUp(look(waiting(), "e1", 1000), "claims", 999 + times.quietMs);
    expect(doing(early)).toBe("list-claims");
    const ending = asked(wakeUp(look(waiting(), "e1", 1000), "claims", 1000 + times.quietMs));
    expect(ending).toMatchObject({ do: "write-claim", state: { ended: true }, if: { ifMatch: "e1" } });
  });

  test("of one that stood back a structural command looks at the model's claim, not at what is left of the one on the datastore", () => {
    const both: Answer = {
      is: "claims",
      claims: [
        { key: "datastore", nonce: "other", etag: "ended" },
        { key: "a/1", nonce: "other", etag: "e1" },
      ],
    };
    const start = [done("c1"), { is: "absent" } as const, done("r1"), both, record(held, "a1")];
    const draining = told(acquire("datastore", me, { rules: soundRules, times }), start);
    const later = wakeUp(draining, "claims", times.quietMs);
    expect(asked(told(later, [both, record(held, "a1")], times.quietMs))).toMatchObject({
      do: "write-claim",
      claim: { key: "a/1", nonce: "other" },
      state: { ended: true },
      if: { ifMatch: "e1" },
    });
  });

  test("whoever takes it out becomes its successor by the same write", () => {
    const ended = told(wakeUp(look(waiting(), "e1", 0), "claims", times.quietMs), [done("e2"), record(queued, "r2")]);
    expect(asked(ended)).toMatchObject({
      do: "write-record",
      state: { holders: [{ nonce: "me", token: 2 }], queue: [] },
    });
    const swept = told(ended, [done("r3")]);
    expect(asked(swept)).toMatchObject({ do: "remove-claim", claim: { nonce: "other" } });
    expect(asked(told(swept, [{ is: "done" }]))).toEqual({ do: "read-record", key: "datastore" });
  });

  test("where somebody else was faster to end it, the record tells whom that one named", () => {
    const refused = told(wakeUp(look(waiting(), "e1", 0), "claims", times.quietMs), [{ is: "refused" }]);
    expect(asked(refused)).toEqual({ do: "read-record", key: "a/1" });
  });

  test("the silence of one that was named is counted from when it was seen named", () => {
    const behind = told(acquire("a/1", me, { rules: soundRules, times }), [
      ...[done("c1"), record(enqueue(enter(freshState, third), other), "r1"), done("r2")],
    ]);
    const seen = look(behind, "e1", 0);
    const named = told(wakeUp(seen, "record", 5000), [
      record(withdraw(enqueue(enqueue(enter(freshState, third), other), me), "third"), "r3"),
    ]);
    const again = look(named, "e1", 6000);
    expect(doing(wakeUp(again, "claims", 5999 + times.quietMs))).toBe("list-claims");
    expect(doing(wakeUp(again, "claims", 6000 + times.quietMs))).toBe("write-claim");
  });
});

describe("the last commit", () => {
  const committing = (): Acquisition => commitHead(holding(), "run#1", true);

  test("is one write that swaps the head, takes us out and names the next", () => {
    const late = told(committing(), [{ is: "refused" }, record(enqueue(enter(freshState, me), other), "r2")]);
    expect(asked(late)).toMatchObject({
      do: "write-record",
      state: { head: "run#1", holders: [{ nonce: "other", token: 2 }], queue: [] },
    });
    expect(doing(told(late, [done("r3")]))).toBe("remove-claim");
  });

  test("whose answer was lost is known by our claim, whatever the next ones have committed since", () => {
    const later = record({ ...enter(enter(freshState, me), other), holders: [], head: "theirs#1" }, "r9");
    const unsure = told(committing(), [{ is: "unknown" }, later]);
    expect(asked(unsure)).toEqual({ do: "read-claim", claim: { key: "a/1", nonce: "me" } });
    const stands = told(unsure, [{ is: "claim", state: { beat: 3 }, etag: "c4" }]);
    expect([doing(stands), stands.main.goal.want]).toEqual(["remove-claim", "leave"]);
    const ended = told(unsure, [{ is: "claim", state: { beat: 0, ended: true }, etag: "c5" }]);
    expect([standing(ended), ended.main.goal]).toMatchObject(["lost", { unsure: true }]);
  });

  test("whose answer was lost isn't known by a claim of ours that came too late, after others had removed the first", () => {
    const unsure = told(committing(), [{ is: "unknown" }, record(enter(freshState, other), "r9")]);
    const late = told(unsure, [{ is: "claim", state: { beat: 0 }, etag: "another" }]);
    expect(standing(late)).toBe("lost");
  });

  test("that was refused because somebody took us out is lost, and nobody is unsure", () => {
    const lost = told(committing(), [{ is: "refused" }, record(enter(freshState, other), "r2")]);
    expect([standing(lost), lost.main.goal]).toEqual(["lost", { want: "commit", head: "run#1", last: true }]);
  });
});
