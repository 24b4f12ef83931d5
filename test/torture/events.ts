/**
 * What workers and the runner write, a line each, with one append: the order of the lines is the order of what happened.
 * A line about a hold is written while it is held, a line about a wait while it waits: so what the checker sees as held was held.
 */
import { writeSync } from "node:fs";

export type EventName =
  /** About to take a place; `asknested` where it holds something already. */
  | "ask"
  | "asknested"
  /** The place is taken and visible. Not told by workers that see only the library's surface. */
  | "queued"
  | "enter"
  /** About to give back. */
  | "leave"
  /** About to leave the queue. */
  | "quit"
  /** After "leave" or "quit" of everything: no ticket says any more that it is wanted. */
  | "gone"
  /** A child works under the lock from here on, and no longer. */
  | "lent"
  | "returned"
  /** About to ask whether the lock is still held; it was. */
  | "check"
  | "commit"
  /** About to take the lock from this holder; it was taken. */
  | "revoking"
  | "revoked"
  /** Something that nobody expects; the note says what. */
  | "trouble"
  /** An error that the world around explains (a full disk, no descriptors); the note says which. */
  | "excused"
  /** By the runner, before it does so: of the whole worker. */
  | "kill"
  | "stop"
  | "cont";

export interface TortureEvent {
  /** Microseconds of the machine's monotonic clock; 0 = not known. */
  readonly at: number;
  readonly worker: string;
  readonly name: EventName;
  /** Of one acquisition of one resource. */
  readonly id: string;
  readonly resource: string;
  readonly mode: "shared" | "exclusive";
  readonly token?: number | undefined;
  readonly note?: string | undefined;
}

export function formatEvent({ at, worker, name, id, resource, mode, token, note }: TortureEvent): string {
  const end = note === undefined ? "" : ` ${note.replaceAll("\n", " | ")}`;
  return `${at} ${worker} ${name} ${id} ${resource} ${mode} ${token ?? "-"}${end}\n`;
}

export function parseEvent(line: string): TortureEvent {
  const [at, worker = "", name = "", id = "", resource = "", mode, token, ...note] = line.split(" ");
  return {
    at: Number(at),
    worker,
    name: name as EventName, // oxlint-disable-line -- an unknown one is refused by the checker
    id,
    resource,
    mode: mode === "shared" ? "shared" : "exclusive",
    token: token === "-" || token === undefined ? undefined : Number(token),
    note: note.length === 0 ? undefined : note.join(" "),
  };
}

/** Appends events through one descriptor, opened for appending. */
export class EventLog {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(event: Omit<TortureEvent, "at">): void {
    writeSync(this.#fd, formatEvent({ at: Number(process.hrtime.bigint() / 1000n), ...event }));
  }
}
