import { expect, test } from "vitest";
import { systemMachine } from "../kernel/machine.ts";
import type { AppEvent } from "./context.ts";
import { refuseTooManyLocks, stepsAtOnce } from "./open-files.ts";

const machine = (mostOpenFiles?: number) => {
  const system = systemMachine("test");
  return { ...system, host: { ...system.host, mostOpenFiles } };
};
const driver = { filesALock: { taking: 4, held: 2 } };

test.runIf(process.platform === "linux")("the system says how many files may be open", () => {
  expect(systemMachine("test").host.mostOpenFiles).toBeGreaterThan(50);
});

test("so many models as there are files for are locked together", () => {
  refuseTooManyLocks({ machine: machine(100), driver }, 18);
  expect(() => refuseTooManyLocks({ machine: machine(100), driver }, 19)).toThrow(
    expect.objectContaining({
      code: "store_unavailable",
      message: expect.stringContaining("locks 19 models at once, for which 102 files"),
      hint: expect.stringMatching(/^Raise the limit \(ulimit -n 1024\), or .*lock: step/),
    }),
  );
  refuseTooManyLocks({ machine: machine(100), driver: {} }, 1000); // whose locks need no files
  refuseTooManyLocks({ machine: machine(), driver }, 1000); // nobody knows
});

test.each([
  { limit: 60, held: 0, asked: 4, most: 1 },
  { limit: 30, held: 100, asked: 4, most: 1 },
  { limit: 100, held: 0, asked: 100, most: 5 },
  { limit: 100, held: 18, asked: 100, most: 2 },
  { limit: 1024, held: 0, asked: 8, most: 8 },
  { limit: undefined, held: 0, asked: 1000, most: 1000 },
])("of $asked steps at once $most are at work where $limit files may be open and $held models are held", (given) => {
  const events: AppEvent[] = [];
  const emit = (event: AppEvent) => void events.push(event);
  expect(stepsAtOnce({ machine: machine(given.limit), driver, held: given.held }, given.asked, emit)).toBe(given.most);
  expect(events.map(({ event }) => event)).toEqual(given.most < given.asked ? ["warning"] : []);
});
