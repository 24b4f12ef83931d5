/** Worlds that a process may live in: other namespaces, another time, few descriptors. */
import { existsSync } from "node:fs";

export type Surroundings = "plain" | "namespaces" | "hour-ahead" | "hour-behind" | "few-descriptors";

/** Enough for Node itself and a few locks. */
const fewDescriptors = 60;

/** How to start `command` there. */
export function wrap(surroundings: Surroundings, command: readonly string[]) {
  const [file = "", ...args] = [...wrapperOf(surroundings), ...command];
  return { file, args, env: fakeTime(surroundings) };
}

function wrapperOf(surroundings: Surroundings): string[] {
  switch (surroundings) {
    case "namespaces":
      return "unshare --pid --fork --kill-child --mount-proc --mount --net --uts --ipc".split(" ");
    case "few-descriptors":
      return ["prlimit", `--nofile=${fewDescriptors}`];
    case "plain":
    case "hour-ahead":
    case "hour-behind":
      return [];
  }
}

/** The environment of a process whose wall clock is wrong. */
export function fakeTime(surroundings: Surroundings): Record<string, string> {
  if (surroundings !== "hour-ahead" && surroundings !== "hour-behind") return {};
  const triplet = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
  const library = [`/usr/lib/${triplet}/faketime/libfaketime.so.1`, "/usr/lib/faketime/libfaketime.so.1"].find((path) =>
    existsSync(path),
  );
  if (library === undefined) throw new Error("libfaketime is missing: run scripts/setup-tests.sh");
  const by = surroundings === "hour-ahead" ? "+1h" : "-1h";
  // A wall clock that is set doesn't change the monotonic one.
  return { LD_PRELOAD: library, FAKETIME: by, FAKETIME_DONT_FAKE_MONOTONIC: "1", DONT_FAKE_MONOTONIC: "1" };
}
