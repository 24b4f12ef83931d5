import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { HandClock } from "../../../../test/support/hand-clock.ts";
import { fenRecord, foreignRecord } from "../../../../test/support/lock-world.ts";
import { betweenCalls } from "../../../../test/support/watched-fs.ts";
import type { LockRecord } from "../../contract.ts";
import {
  ForeignWatch,
  type FoundRecord,
  parseRecord,
  putRecord,
  readRecord,
  RecordDraft,
  refreshRecord,
  removeRecord,
  removeUnreadable,
  replaceRecord,
} from "./records.ts";

vi.mock("node:fs", async (original) => {
  const { watched } = await import("../../../../test/support/watched-fs.ts");
  return watched(await original());
});

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fen-records-"));
  path = join(folder, ".lock");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const [ours, theirs] = [fenRecord({ nonce: "ours" }), fenRecord({ nonce: "theirs", pid: 1 })];
const never = () => false;
const always = () => true;
/** Publishes once, from a draft of its own. */
const publish = (record: LockRecord, isSpent: (found: FoundRecord) => boolean) => {
  const draft = new RecordDraft(path, record.nonce);
  const found = draft.publish(record, isSpent);
  draft.discard();
  return found;
};
const put = (record: object) => writeFileSync(path, JSON.stringify(record));
/** Another puts its record there in one step, as a takeover does. */
const takeOver = (record: object) => {
  writeFileSync(`${path}.new`, JSON.stringify(record));
  renameSync(`${path}.new`, path);
};
const nonceThere = () => (existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).nonce : undefined);

describe("publishing", () => {
  test("a record is put where there is none", () => {
    expect(publish(ours, never)).toBeUndefined();
    expect(readRecord(path)).toMatchObject({ kind: "ours", record: ours });
    expect(readdirSync(folder)).toEqual([".lock"]);
  });

  test("one that isn't spent stays, and is told", () => {
    put(foreignRecord());
    expect(publish(ours, never)).toMatchObject({ kind: "foreign" });
    expect(readdirSync(folder)).toEqual([".lock"]);
    expect(nonceThere()).toBe(foreignRecord().nonce);
  });

  test("what is drafted can't be seen before it is published, and leaves nothing behind", () => {
    const draft = new RecordDraft(path, "ours");
    draft.prepare();
    expect(existsSync(path)).toBe(false);
    draft.discard();
    draft.discard();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("a folder that was made for the record goes with it, but not with what others put there", () => {
    for (const isUsed of [false, true]) {
      const draft = new RecordDraft(join(folder, "made", ".lock"), "ours");
      draft.publish(ours, never);
      draft.discard();
      removeRecord(join(folder, "made", ".lock"), "ours");
      if (isUsed) writeFileSync(join(folder, "made", "data"), "");
      draft.removeMadeFolder();
      expect(existsSync(join(folder, "made"))).toBe(isUsed);
    }
  });

  test("putting a record where there is one changes nothing", () => {
    put(theirs);
    expect(putRecord(path, ours, "ours")).toMatchObject({ kind: "ours", record: theirs });
    expect(nonceThere()).toBe("theirs");
    expect(readdirSync(folder)).toEqual([".lock"]);
  });

  test("one that is spent gives way", () => {
    put(theirs);
    expect(publish(ours, always)).toBeUndefined();
    expect(nonceThere()).toBe("ours");
  });

  test("lock-7: a record that came after the spent one was judged is never removed", () => {
    put(foreignRecord());
    const found = publish(ours, (there) => {
      if ("record" in there && there.record.nonce === "theirs") return false;
      takeOver(theirs); // another completes its takeover between our judgement and our removal
      return true;
    });
    expect(found).toMatchObject({ record: { nonce: "theirs" } });
    expect(nonceThere()).toBe("theirs");
    expect(readdirSync(folder)).toEqual([".lock"]);
  });

  test.each(["", "{", "[]", "junk"])(
    "lock-10: what can't be read (%j) is told as such, and gives way when it is spent",
    (text) => {
      writeFileSync(path, text);
      expect(publish(ours, never)).toMatchObject({ kind: "unreadable", text });
      expect(publish(ours, always)).toBeUndefined();
      expect(nonceThere()).toBe("ours");
    },
  );

  test("lock-10: so does a folder in the record's place", () => {
    mkdirSync(path);
    expect(publish(ours, never)).toMatchObject({ kind: "unreadable" });
    expect(publish(ours, always)).toBeUndefined();
    expect(readdirSync(folder)).toEqual([".lock"]);
  });
});

describe("lock-12, lock-13: at no instant is there a part of a record", () => {
  const whole = (found: FoundRecord) => found.kind === "absent" || found.kind === "ours";
  const cases: [string, () => void][] = [
    ["publishing", () => publish(ours, never)],
    ["publishing over one that is spent", () => publish(ours, always)],
    ["keeping it fresh", () => refreshRecord(path, "theirs", "2027-01-01T00:00:00.000Z")],
    ["handing it to one who shares the lock", () => replaceRecord(path, "theirs", ours)],
    ["removing it", () => removeRecord(path, "theirs")],
  ];

  test("while what was announced from a draft is published from it once more", () => {
    const draft = new RecordDraft(path, "ours");
    draft.publish(ours, never);
    const seen: FoundRecord[] = [];
    betweenCalls(
      () => seen.push(readRecord(path)),
      () => draft.publish({ ...ours, token: 8 }, always),
    );
    expect(seen.filter((found) => !whole(found))).toEqual([]);
    expect(readRecord(path)).toMatchObject({ record: { token: 8 } });
    draft.discard();
    expect(readdirSync(folder)).toEqual([".lock"]);
  });

  test.each(cases)("while %s", (name, work) => {
    if (name !== "publishing") put(theirs);
    const seen: FoundRecord[] = [];
    betweenCalls(() => seen.push(readRecord(path)), work);
    expect(seen.length).toBeGreaterThan(2);
    expect(seen.filter((found) => !whole(found))).toEqual([]);
  });

  test("a record that is kept fresh is never away", () => {
    put(theirs);
    const seen: FoundRecord[] = [];
    betweenCalls(
      () => seen.push(readRecord(path)),
      () => refreshRecord(path, "theirs", "2027-01-01T00:00:00.000Z"),
    );
    expect(seen.map((found) => found.kind)).not.toContain("absent");
    expect(readRecord(path)).toMatchObject({ record: { ...theirs, acquiredAt: "2027-01-01T00:00:00.000Z" } });
  });
});

/** Does it with our record there, again and again: each time another takes over after one call more. Gives the number of calls. */
function afterEachCallOf(work: () => void): number {
  for (let step = 1; ; step++) {
    takeOver(ours);
    let calls = 0;
    const look = () => {
      if (++calls === step) takeOver(theirs);
    };
    betweenCalls(look, work);
    if (calls < step) return calls;
    expect(readRecord(path), `after call ${step}`).toMatchObject({ record: theirs });
  }
}

describe("lock-8: nobody touches a record that isn't theirs", () => {
  test("removing takes only the record with that nonce", () => {
    put(theirs);
    expect(removeRecord(path, "ours")).toBe(false);
    expect(nonceThere()).toBe("theirs");
    expect(removeRecord(path, "theirs")).toBe(true);
    expect(existsSync(path)).toBe(false);
  });

  test("lock-60: one that comes in at any instant of the removal stays", () => {
    expect(afterEachCallOf(() => removeRecord(path, "ours"))).toBeGreaterThan(3);
  });

  test("lock-3: a late refresh changes nothing of a record that isn't its own, and makes none", () => {
    refreshRecord(path, "ours", "2027-01-01T00:00:00.000Z");
    expect(existsSync(path)).toBe(false);
    put(theirs);
    refreshRecord(path, "ours", "2027-01-01T00:00:00.000Z");
    expect(readRecord(path)).toMatchObject({ record: theirs });
  });

  test("lock-3: nor of one that takes the place while it refreshes", () => {
    expect(afterEachCallOf(() => refreshRecord(path, "ours", "2027-01-01T00:00:00.000Z"))).toBeGreaterThan(2);
  });

  test("replacing ours by another's does nothing where ours isn't", () => {
    put(theirs);
    expect(replaceRecord(path, "ours", fenRecord({ nonce: "third" }))).toBe(false);
    expect(nonceThere()).toBe("theirs");
  });

  test("lock-10: only what can't be read is removed as unreadable", () => {
    put(theirs);
    expect(removeUnreadable(path, "me")).toBe(false);
    expect(nonceThere()).toBe("theirs");
    writeFileSync(path, "junk");
    expect(removeUnreadable(path, "me")).toBe(true);
    expect(existsSync(path)).toBe(false);
  });
});

describe("when another client's record is spent", () => {
  const isStale = (watch: ForeignWatch) => {
    const found = readRecord(path);
    return found.kind === "absent" || watch.isStale(found);
  };

  test("lock-5: one that is seen for the first time is honoured, however old it says it is", () => {
    put(foreignRecord({ acquiredAt: "2001-01-01T00:00:00.000Z" }));
    expect(isStale(new ForeignWatch(new HandClock()))).toBe(false);
  });

  test("lock-16: it is spent when it hasn't changed for its TTL on our monotonic clock, whatever the wall clock does", () => {
    const clock = new HandClock();
    const watch = new ForeignWatch(clock);
    put(foreignRecord({ ttlMs: 30_000 }));
    isStale(watch);
    clock.stepWall(3_600_000);
    clock.turn(29_999);
    expect(isStale(watch)).toBe(false);
    clock.stepWall(-7_200_000);
    clock.turn(1);
    expect(isStale(watch)).toBe(true);
  });

  test("one that is kept fresh is never spent", () => {
    const clock = new HandClock();
    const watch = new ForeignWatch(clock);
    for (let beat = 0; beat < 20; beat++) {
      put(foreignRecord({ acquiredAt: new Date(clock.now()).toISOString() }));
      expect(isStale(watch)).toBe(false);
      clock.turn(10_000);
    }
  });

  test.each([
    ["nothing", undefined, 30_000],
    ["a year", 31_536_000_000, 600_000],
    ["less than nothing", -5, 1000],
  ])("lock-11: a TTL of %s ends too", (_, ttlMs, after) => {
    const clock = new HandClock();
    const watch = new ForeignWatch(clock);
    put(foreignRecord({ ttlMs }));
    isStale(watch);
    clock.turn(after - 1);
    expect(isStale(watch)).toBe(false);
    clock.turn(1);
    expect(isStale(watch)).toBe(true);
  });

  test("lock-10: what can't be read is honoured for a TTL, and is spent then", () => {
    const clock = new HandClock();
    const watch = new ForeignWatch(clock);
    writeFileSync(path, "");
    expect(isStale(watch)).toBe(false);
    clock.turn(29_999);
    expect(isStale(watch)).toBe(false);
    clock.turn(1);
    expect(isStale(watch)).toBe(true);
  });
});

describe("reading", () => {
  test("a record without a token is an older client's", () => {
    put(foreignRecord());
    expect(readRecord(path).kind).toBe("foreign");
    put(fenRecord());
    expect(readRecord(path).kind).toBe("ours");
  });

  test.each([{ nonce: 1 }, { holder: null }, { acquiredAt: undefined }])(
    "lock-11: one with %o isn't a record",
    (wrong) => {
      expect(parseRecord(JSON.stringify(foreignRecord(wrong)))).toBeUndefined();
    },
  );

  test("lock-10: one that is far too large is unreadable", () => {
    put(fenRecord({ command: "x".repeat(100_000) }));
    expect(readRecord(path).kind).toBe("unreadable");
  });
});
