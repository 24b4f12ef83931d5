/**
 * The order of steps from a place in a queue to a grant, as a pure state machine: it says what to look at next, is told what was seen, and
 * goes on or says what stops it. The driver (`place.ts`) looks at a folder; the exhaustive search looks at a world that it made up.
 *
 *   model       queue -> structural -> table -> foreign -> publish -> granted
 *   datastore   queue -> announce -> foreign -> table -> publish -> granted
 *   share       queue -> table -> granted          (among the commands that one holder calls)
 *
 * What makes it right (docs/protocol/locking.md has the argument):
 *   - only `table` decides exclusion; everything before it is order, everything after it is courtesy to older clients;
 *   - a step that was passed is never gone back over, but for `publish`, which an older client can race: then what concerns older clients is
 *     done again;
 *   - a command that works within a lock already skips `structural`: the structural command waits for that lock.
 */
export type Stage = "queue" | "structural" | "announce" | "foreign" | "table" | "publish" | "granted";

export interface Request {
  readonly kind: "model" | "datastore" | "share";
  /** The asker holds something already, itself or through its caller. */
  readonly isWithin: boolean;
  /** No older client is expected here: no record is published, and none is looked for. */
  readonly isWithoutRecords?: boolean;
}

export interface Progress {
  readonly stage: Stage;
  /** The structural commands that were there when our turn began: later ones wait for us, so that a row of them can't starve models. */
  readonly seen?: ReadonlySet<string>;
}

/** Another's ticket, as far as the order needs it. */
export interface Other {
  readonly nonce: string;
}

export type Seen<T extends Other> =
  /** Live tickets before ours that conflict, oldest first. */
  | { readonly stage: "queue"; readonly before: readonly T[] }
  /** Live tickets in the datastore's queue. */
  | { readonly stage: "structural"; readonly live: readonly T[] }
  | { readonly stage: "table"; readonly lock: "locked" | "busy" | "replaced" }
  /** A record of an older client that must be honoured, or undefined. */
  | { readonly stage: "announce" | "foreign" | "publish"; readonly foreign: string | undefined };

export type Advance<T extends Other> =
  | { readonly progress: Progress }
  /** `watch`: the one ticket whose end lets us go on; undefined: look again after a while. */
  | { readonly progress: Progress; readonly blocked: true; readonly watch: T | undefined; readonly place: number };

export const start: Progress = { stage: "queue" };

/** What concerns older clients only. */
const courtesies: readonly Stage[] = ["announce", "foreign", "publish"];

export function stagesOf(request: Request): readonly Stage[] {
  const all = allStagesOf(request);
  return request.isWithoutRecords === true ? all.filter((stage) => !courtesies.includes(stage)) : all;
}

function allStagesOf(request: Request): readonly Stage[] {
  switch (request.kind) {
    case "model":
      return request.isWithin
        ? ["queue", "table", "foreign", "publish", "granted"]
        : ["queue", "structural", "table", "foreign", "publish", "granted"];
    case "datastore":
      return ["queue", "announce", "foreign", "table", "publish", "granted"];
    case "share":
      return ["queue", "table", "granted"];
  }
}

/**
 * Which of the earlier tickets that conflict a place waits for: all of them, but where a structural command waits, one who works within a lock passes those
 * who don't. They wait for the structural command, it waits for the lock that we work within, and so they wait for us.
 */
export function inTheWay<T extends Other>(
  request: Request,
  earlier: readonly T[],
  look: { readonly isStructuralThere: () => boolean; readonly waitsFreely: (other: T) => boolean },
): readonly T[] {
  if (request.kind !== "model" || !request.isWithin || earlier.length === 0 || !look.isStructuralThere())
    return earlier;
  return earlier.filter((other) => !look.waitsFreely(other));
}

/** What follows from what was seen at the present stage. */
export function advance<T extends Other>(request: Request, progress: Progress, seen: Seen<T>): Advance<T> {
  const stages = stagesOf(request);
  const next: Progress = { ...progress, stage: stages[stages.indexOf(progress.stage) + 1] ?? "granted" };
  const stop = (watch?: T, place = 1, now = progress) => ({ progress: now, blocked: true as const, watch, place });
  switch (seen.stage) {
    case "queue":
      return seen.before.length === 0 ? { progress: next } : stop(seen.before.at(-1), seen.before.length);
    case "structural": {
      const first = progress.seen ?? new Set(seen.live.map((ticket) => ticket.nonce));
      const still = seen.live.filter((ticket) => first.has(ticket.nonce));
      return still.length === 0 ? { progress: next } : stop(still[0], 1, { ...progress, seen: first });
    }
    case "table":
      return seen.lock === "locked" ? { progress: next } : stop();
    case "announce":
    case "foreign":
      return seen.foreign === undefined ? { progress: next } : stop();
    case "publish": {
      const again = request.kind === "datastore" ? "announce" : "foreign";
      return seen.foreign === undefined ? { progress: next } : stop(undefined, 1, { ...progress, stage: again });
    }
  }
}
