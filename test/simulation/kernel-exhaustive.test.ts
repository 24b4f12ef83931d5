/**
 * Every interleaving of a few processes on the lock protocol of a filesystem, with production's own decisions (`protocol.ts`, `nesting.ts`, `cycles.ts`) in a
 * made-up machine; docs/protocol/locking.md says what is proved by it. The bugs below are planted to show that the search can fail.
 */
import { afterAll, describe, expect, test } from "vitest";
import { bundled } from "./bundled.ts";
import { type Config, slots, type Want } from "./kernel-state.ts";

const { search } = await bundled();

const exclusive = (slot: Want["slot"]): Want => ({ slot, mode: "exclusive" });
const [A, B, D] = [exclusive(slots.A), exclusive(slots.B), exclusive(slots.D)];
const a: Want = { slot: slots.A, mode: "shared" };

const configs: readonly Config[] = [
  { name: "A | A; crash, pause, release of A", programs: [[A], [A]], crashes: 1, pauses: 1, revoke: slots.A },
  { name: "A | D; crash, pause, release of A", programs: [[A], [D]], crashes: 1, pauses: 1, revoke: slots.A },
  { name: "A | D; crash, pause, release of D", programs: [[A], [D]], crashes: 1, pauses: 1, revoke: slots.D },
  { name: "A | a; crash, pause", programs: [[A], [a]], crashes: 1, pauses: 1 },
  { name: "A | a; crash, release of A", programs: [[A], [a]], crashes: 1, revoke: slots.A },
  { name: "a | a; crash, pause", programs: [[a], [a]], crashes: 1, pauses: 1 },
  { name: "A | A | A; crash", programs: [[A], [A], [A]], crashes: 1 },
  { name: "A | A | D; crash", programs: [[A], [A], [D]], crashes: 1 },
  { name: "A | A | D; pause", programs: [[A], [A], [D]], pauses: 1 },
  { name: "A | A | D; release of A", programs: [[A], [A], [D]], revoke: slots.A },
  { name: "A | B | D; crash, pause", programs: [[A], [B], [D]], crashes: 1, pauses: 1 },
  { name: "A | a | D", programs: [[A], [a], [D]] },
  { name: "A | a | a", programs: [[A], [a], [a]] },
  { name: "a | a | a; crash", programs: [[a], [a], [a]], crashes: 1 },
  { name: "a | a | D; crash", programs: [[a], [a], [D]], crashes: 1 },
  { name: "A | D | D; crash", programs: [[A], [D], [D]], crashes: 1 },
  { name: "A | A | D; crash, all may give up", programs: [[A], [A], [D]], crashes: 1, impatient: [0, 1, 2] },
  { name: "A then B | A then B | D; crash", programs: [[A, B], [A, B], [D]], crashes: 1 },
  { name: "A then B | B | D; crash", programs: [[A, B], [B], [D]], crashes: 1 },
  { name: "A calls A | A; crash", programs: [[A], [A], [A]], children: [1], crashes: 1 },
  { name: "A calls A and A | A; crash", programs: [[A], [A], [A], [A]], children: [1, 2], crashes: 1 },
  { name: "A calls B | D; crash", programs: [[A], [B], [D]], children: [1], crashes: 1 },
  { name: "A calls B | B | D; crash", programs: [[A], [B], [B], [D]], children: [1], crashes: 1 },
  { name: "A calls D | D; crash", programs: [[A], [D], [D]], children: [1], crashes: 1 },
  { name: "D calls A | A; crash", programs: [[D], [A], [A]], children: [1], crashes: 1 },
  { name: "a calls a | a | A; crash", programs: [[a], [a], [a], [A]], children: [1], crashes: 1 },
  { name: "older A | A | A; crash, pause", programs: [[A], [A]], older: slots.A, crashes: 1, pauses: 1 },
  { name: "older A | a | a", programs: [[a], [a]], older: slots.A },
  { name: "older A | A | D; crash, pause", programs: [[A], [D]], older: slots.A, crashes: 1, pauses: 1 },
  { name: "older D | A | D; crash, pause", programs: [[A], [D]], older: slots.D, crashes: 1, pauses: 1 },
  { name: "older D | D | A; D may give up", programs: [[D], [A]], older: slots.D, impatient: [0] },
  { name: "older A | A | A; crash, one may give up", programs: [[A], [A]], older: slots.A, impatient: [0], crashes: 1 },
];

/** Each with the smallest world that shows it. */
const bugs: readonly {
  readonly bug: string;
  readonly breaks: RegExp;
  readonly config: Omit<Config, "name" | "bug">;
}[] = [
  {
    bug: "table not checked for being current",
    breaks: /two hold/,
    config: { programs: [[A], [D], [D]], revoke: slots.D },
  },
  {
    bug: "ranges not checked after the lock",
    breaks: /and it wasn't/,
    config: { programs: [[A], [A], [A]], children: [1], revoke: slots.A, crashes: 1 },
  },
  {
    bug: "generation read only when granted",
    breaks: /passed its check/,
    config: { programs: [[A], [A]], revoke: slots.A, crashes: 1 },
  },
  {
    bug: "revoke whoever holds by then",
    breaks: /hit another/,
    config: { programs: [[A], [A]], revoke: slots.A },
  },
  { bug: "revoke without a new byte", breaks: /passed its check/, config: { programs: [[A], [A]], revoke: slots.A } },
  { bug: "shared admitted beside exclusive", breaks: /two hold/, config: { programs: [[a], [D]] } },
  { bug: "structural stage skipped", breaks: /a newcomer/, config: { programs: [[A], [B], [D]] } },
  { bug: "structural commands not remembered", breaks: /after its turn/, config: { programs: [[A], [D], [D]] } },
  { bug: "queue stage skipped", breaks: /before an earlier one/, config: { programs: [[A], [A]] } },
  { bug: "gate removed", breaks: /before an earlier one/, config: { programs: [[A], [A]] } },
  { bug: "ticket left without being removed", breaks: /waits for ever/, config: { programs: [[A], [A]] } },
  { bug: "watch set after the look", breaks: /waits for ever/, config: { programs: [[A], [A]] } },
  { bug: "dead predecessor waited for", breaks: /waits for ever/, config: { programs: [[A], [A]], crashes: 1 } },
  { bug: "record removed after lock and ticket", breaks: /record/, config: { programs: [[A], [A]] } },
  {
    bug: "release without owner check",
    breaks: /record of another/,
    config: { programs: [[A], [A]], revoke: slots.A, pauses: 1 },
  },
  {
    bug: "takeover by delete",
    breaks: /record of another/,
    config: { programs: [[A], [A]], older: slots.A, crashes: 1 },
  },
  {
    bug: "failed takeover counts as published",
    breaks: /and it wasn't/,
    config: { programs: [[A], [A]], older: slots.A, crashes: 1 },
  },
  {
    bug: "datastore record not looked at again",
    breaks: /beside a holder/,
    config: { programs: [[A]], older: slots.D },
  },
  {
    bug: "announcement taken away to be published",
    breaks: /beside a holder/,
    config: { programs: [[D]], older: slots.A },
  },
  { bug: "older clients not looked for", breaks: /beside a holder/, config: { programs: [[D]], older: slots.A } },
  {
    bug: "reader's record removed before another is put",
    breaks: /beside a holder/,
    config: { programs: [[a], [a]], older: slots.A },
  },
  {
    bug: "record of a dead reader counts as lost",
    breaks: /and it wasn't/,
    config: { programs: [[a], [a]], crashes: 1 },
  },
  {
    bug: "record put back after a long pause",
    breaks: /passed its check/,
    config: { programs: [[A]], older: slots.A, pauses: 1 },
  },
  {
    bug: "timeout keeps the kernel lock",
    breaks: /waits for ever/,
    config: { programs: [[A], [A]], older: slots.A, impatient: [0] },
  },
  {
    bug: "announcement left behind on a timeout",
    breaks: /waits for ever/,
    config: { programs: [[D], [A]], older: slots.A, impatient: [0] },
  },
  {
    bug: "descriptor not inherited",
    breaks: /two hold/,
    config: { programs: [[A], [A], [A]], children: [1], crashes: 1 },
  },
  { bug: "nested skips the cover check", breaks: /waits for ever/, config: { programs: [[A], [A]], children: [1] } },
  {
    bug: "nested waits for a structural command",
    breaks: /waits for ever/,
    config: { programs: [[A], [B], [D]], children: [1] },
  },
  {
    bug: "within waits behind those who wait for a structural command",
    breaks: /waits for ever/,
    config: { programs: [[A], [B], [B], [D]], children: [1], crashes: 1 },
  },
];

describe("the lock protocol of a filesystem, in every interleaving", () => {
  const rows: string[] = [];
  afterAll(() => console.log(`   states  transitions\n${rows.join("\n")}`));
  const sum = { states: 0, transitions: 0 };

  test.each(configs)("keeps its promises: $name", (config) => {
    const { states, transitions, cycles, broken } = search(config);
    sum.states += states;
    sum.transitions += transitions;
    rows.push(`${String(states).padStart(9)} ${String(transitions).padStart(12)}  ${config.name}`);
    expect(broken).toBeUndefined();
    expect(cycles, "commands that take locks in order never have to give way").toBe(0);
  });

  test("visits hundreds of thousands of states", () => {
    rows.push(`${String(sum.states).padStart(9)} ${String(sum.transitions).padStart(12)}  all`);
    expect(sum.states).toBeGreaterThan(500_000);
  });
});

describe("the search finds each planted bug", () => {
  test.each(bugs)("$bug", ({ bug, breaks, config }) => {
    const { states, broken } = search({ ...config, name: bug, bug });
    console.log(`${bug}: ${broken?.what ?? "not found"} (${states} states)\n  ${broken?.trace.join(", ") ?? ""}`);
    expect(broken?.what).toMatch(breaks);
  });
});
