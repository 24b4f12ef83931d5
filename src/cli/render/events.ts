/** Events of a use case as lines for people (stderr; a method's own output on stdout) or as newline-delimited JSON. */
import type { AppEvent } from "../../app/context.ts";
import { heldElsewhere, orphaned, recordOf } from "../../store/blocked-by.ts";
import type { WaitNotice } from "../../lock/manager.ts";
import { resourceKey } from "../../store/contract.ts";
import type { Console } from "../console.ts";
import { duration, timeSince } from "./table.ts";

export type EventMode = "text" | "json" | "stream";

export function eventPrinter(console: Console, mode: EventMode, isVerbose: () => boolean): (event: AppEvent) => void {
  if (mode === "stream") return (event) => console.out(JSON.stringify(plain(event)));
  const waitedFor = new Set<string>();
  return (event) => {
    if (event.event === "lock.waiting") {
      waitedFor.add(event.notice.label);
      if (mode === "json") console.relay(JSON.stringify(plain(event)));
      else console.say(waiting(console, event.notice));
    } else if (event.event === "lock.granted") {
      // Who wasn't told of a wait needn't be told of its end.
      if (waitedFor.size > 0 && mode === "text")
        console.say(console.dim(`got the lock on ${shortList([...waitedFor])} after ${duration(event.waitedMs)}`));
      waitedFor.clear();
    } else if (event.event === "warning") {
      if (mode === "json") console.relay(JSON.stringify(event));
      else console.say(warning(console, event));
    } else if (mode === "text") printRun(console, event, isVerbose());
  };
}

export function warning(console: Console, { message, hint }: Extract<AppEvent, { event: "warning" }>): string {
  if (hint === undefined) return `${console.yellow("warning:")} ${message}`;
  return `${console.yellow("warning:")} ${/[.!?:…]$/.test(message) ? message : `${message}.`} ${console.dim(hint)}`;
}

function printRun(console: Console, event: AppEvent, verbose: boolean): void {
  if (event.event === "run.output") {
    if (event.stream === "stdout") console.out(event.line);
    else console.relay(event.line);
  } else if (event.event === "run.data" && verbose)
    console.say(console.dim(`data ${event.name} version ${event.version}: ${event.path}`));
}

function shortList(names: readonly string[]): string {
  return names.length <= 3 ? names.join(", ") : `${names[0] ?? ""} and ${names.length - 1} more`;
}

/** Who holds it, since when, what command, our place, and what one can do. */
export function waiting(console: Console, notice: WaitNotice): string {
  const record = recordOf(notice.by);
  const since = record?.since ?? record?.acquiredAt;
  const who =
    record === undefined
      ? undefined
      : `${record.holder}, pid ${record.pid}${since === undefined ? "" : `, since ${timeSince(since)} UTC`}${record.command === undefined ? "" : `: ${record.command}`}`;
  const place = notice.place <= 1 ? "next in line" : `number ${notice.place} in line`;
  const limit = notice.remainingMs === undefined ? "" : ` (gives up in ${duration(notice.remainingMs)})`;
  return [
    `${console.yellow("waiting")} for the lock on ${console.bold(notice.label)}, ${place}${limit}`,
    `  ${because(notice, who)}`,
    console.dim("  Ctrl-C gives up; --lock-timeout sets a limit; fen datastore lock status shows everybody"),
  ].join("\n");
}

function because(notice: WaitNotice, who: string | undefined): string {
  const { by } = notice;
  switch (by.kind) {
    case "holder": {
      const holds = heldElsewhere(notice);
      return holds === undefined ? `held by ${who}` : `${holds} is held by ${who}`;
    }
    case "waiter":
      return `behind ${who}`;
    case "structural":
      return `a command on the whole datastore comes first: ${who}`;
    case "orphan":
      return orphaned(notice, who);
    case "foreign":
      return who === undefined ? `a lock file that can't be read: ${by.path}` : `an older program holds it: ${who}`;
    case "unknown":
      return "its holder is just changing";
  }
}

function plain(event: AppEvent): unknown {
  if (event.event !== "lock.waiting") return event;
  const { resource, by, place, waitedMs, remainingMs } = event.notice;
  const holds = heldElsewhere(event.notice);
  return {
    event: event.event,
    resource: resourceKey(resource),
    blockedBy: by.kind,
    ...(holds === undefined ? {} : { holds }),
    holder: recordOf(by),
    place,
    waitedMs: Math.round(waitedMs),
    ...(remainingMs === undefined ? {} : { remainingMs: Math.round(remainingMs) }),
  };
}
