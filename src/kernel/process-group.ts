/** Process groups: whether anybody in one still lives. */
import { readdirSync, readFileSync } from "node:fs";

/**
 * False where nobody of the group lives. Processes that have ended but that their parent hasn't reaped (in a container whose init is slow to,
 * or never does) count as gone: a signal reaches them no more, and waiting for them would wait for init.
 */
export function groupLives(group: number): boolean {
  try {
    process.kill(-group, 0);
  } catch {
    return false; // no such group any more
  }
  const states = statesOf(group);
  return states === undefined || states.some((state) => state !== "Z" && state !== "X");
}

/** The states of a group's processes; undefined where the system has no `/proc` that tells, or tells of nobody. */
function statesOf(group: number): string[] | undefined {
  let names: string[];
  try {
    names = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return undefined; // not Linux
  }
  const states = names.flatMap((name) => {
    try {
      // "pid (command) state parent group ..."; a command may hold blanks and parentheses.
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      const [state = "", , pgrp] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return Number(pgrp) === group ? [state] : [];
    } catch {
      return []; // it has just ended
    }
  });
  return states.length === 0 ? undefined : states;
}
