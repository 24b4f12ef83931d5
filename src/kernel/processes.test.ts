import { expect, test } from "vitest";
import { HandClock } from "../../test/support/hand-clock.ts";
import type { ChildEvents } from "./children.ts";
import { longestTimerMs, systemMachine } from "./machine.ts";
import { runProcess } from "./processes.ts";

/** No process has such a number. */
const nobody = 2 ** 30;

test("a time limit that is longer than a timer can be ends the command when it is over, and not before", async () => {
  const clock = new HandClock();
  const periods: number[] = [];
  const every = (ms: number, task: () => void) => {
    periods.push(ms);
    return clock.every(ms, task);
  };
  let child: ChildEvents | undefined;
  const children = {
    start: (_: unknown, events: ChildEvents) => {
      child = events;
      events.started(nobody);
      return { letGo: () => undefined };
    },
  };
  const machine = {
    ...systemMachine(),
    children,
    clock: {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      sinceBoot: () => clock.sinceBoot(),
      sleep: clock.sleep.bind(clock),
      after: clock.after.bind(clock),
      every,
    },
  };
  const timeoutMs = longestTimerMs + 1000;
  const running = runProcess(machine, {
    command: ["/bin/sh"],
    cwd: "/",
    env: {},
    inherit: [],
    timeoutMs,
    signal: new AbortController().signal,
    onOutput: () => undefined,
  });
  const endedAfter = async (ms: number) => {
    await new Promise((resolve) => setImmediate(resolve));
    clock.turn(ms);
    child?.ended(null, "SIGTERM");
    child?.closed();
    return (await running).endedBy;
  };
  await new Promise((resolve) => setImmediate(resolve));
  clock.turn(longestTimerMs);
  expect(periods).toEqual([longestTimerMs]);
  expect(await endedAfter(longestTimerMs)).toBe("timeout");
});
