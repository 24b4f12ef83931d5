/**
 * Publications that many want at once are made once (decision 0007). A small object counts those that were begun; whoever wants one takes the next
 * number, by compare-and-swap, or waits for somebody else's that was begun after it came: that one finds all that was there by then.
 *
 * It only spares work. Who publishes shows that it lives; after `quietMs` without a sign nobody waits for it any more. Publications that run beside each
 * other do no harm.
 */
import { FenError } from "../../kernel/errors.ts";
import type { Machine } from "../../kernel/machine.ts";
import { isRecord } from "../../repo/yaml.ts";
import { type ConditionalStore, putOver } from "../../store/conditional.ts";
import type { Transfer } from "../sync.ts";

const turnKey = "publication.json";

/** Each is unlike all that were before it. */
interface Turn {
  /** So many publications were begun. */
  readonly begun: number;
  /** All that was there when this one began is published. */
  readonly ended: number;
  /** What that one had to tell. */
  readonly errors: readonly string[];
  /** Who is at work on the last that was begun. */
  readonly by?: string;
  readonly beat?: number;
}

interface Seen {
  readonly turn: Turn;
  readonly etag: string | undefined;
}

interface Parts {
  readonly machine: Machine;
  /** For what is small and urgent: no transfer stands before a sign of life. */
  readonly store: Pick<ConditionalStore, "get" | "put">;
}

const quietMs = 10_000;
const beatsInQuiet = 5;
const firstPauseMs = 100;
const longestPauseMs = 400;
/** Others are faster now and then. */
const maxTries = 5;

/**
 * Whoever prepares for long says by `begins` when it looks at what is there: it is resolved before that. So this publication is that of those who came in
 * the meantime, too.
 */
type Publish = (begins: () => Promise<void>) => Promise<Transfer>;

export class Publications {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Resolves when all that is there now is published: by `publish`, which is called at most once, or by somebody else's. */
  async join(publish: Publish, signal?: AbortSignal): Promise<Transfer> {
    const { clock, random } = this.#parts.machine;
    const nonce = random.uuid();
    let seen = await this.#read();
    const wanted = seen.turn.begun + 1;
    let changedAt = clock.monotonic();
    let pauseMs = firstPauseMs;
    for (let tries = 0; tries < maxTries;) {
      const { turn } = seen;
      if (turn.ended >= wanted) return { files: 0, errors: turn.errors };
      if (turn.by === nonce) return this.#carryOut(turn.begun, { nonce, publish });
      if (turn.by === undefined || clock.monotonic() - changedAt >= quietMs) {
        // Where it was refused, or nobody knows, the next look tells.
        await this.#put(seen, { ...turn, begun: turn.begun + 1, by: nonce, beat: 0 });
        tries++;
      } else {
        await clock.sleep(pauseMs, signal);
        pauseMs = Math.min(pauseMs * 1.5, longestPauseMs);
      }
      const now = await this.#read();
      if (now.etag !== seen.etag) changedAt = clock.monotonic();
      seen = now;
    }
    return publish(async () => undefined);
  }

  async #carryOut(
    taken: number,
    { nonce, publish }: { readonly nonce: string; readonly publish: Publish },
  ): Promise<Transfer> {
    const isOurs = ({ by }: Turn) => by === nonce;
    let number = taken;
    const begins = async (): Promise<void> => {
      let next = number;
      const raise = (turn: Turn) => (isOurs(turn) ? { ...turn, begun: (next = turn.begun + 1) } : undefined);
      if (await this.#change(raise, maxTries)) number = next;
    };
    let beating: Promise<unknown> | undefined;
    const timer = this.#parts.machine.clock.every(quietMs / beatsInQuiet, () => {
      // One that fails is followed by the next.
      beating ??= this.#change((turn) => (isOurs(turn) ? { ...turn, beat: (turn.beat ?? 0) + 1 } : undefined), 1)
        .catch(() => undefined)
        .finally(() => (beating = undefined));
    });
    let done: Transfer | undefined;
    try {
      done = await publish(begins);
      return done;
    } finally {
      timer[Symbol.dispose]();
      await beating;
      // Where others took it for dead, it may end while they are at work.
      await this.#change((turn) => {
        const { by: _by, beat: _beat, ...free } = turn;
        const rest = isOurs(turn) ? free : turn;
        if (done !== undefined && turn.ended < number) return { ...rest, ended: number, errors: done.errors };
        return isOurs(turn) ? free : undefined;
      }, maxTries);
    }
  }

  /** Whether it was changed. Only a courtesy: where the store fails, others wait until it was quiet for long enough. */
  async #change(change: (turn: Turn) => Turn | undefined, tries: number): Promise<boolean> {
    try {
      for (let attempt = 0; attempt < tries; attempt++) {
        const seen = await this.#read();
        const next = change(seen.turn);
        if (next === undefined) return false;
        if (await this.#put(seen, next)) return true;
      }
    } catch (error) {
      if (!(error instanceof FenError)) throw error;
    }
    return false;
  }

  async #read(): Promise<Seen> {
    const found = await this.#parts.store.get(turnKey);
    return { turn: turnOf(found?.body), etag: found?.etag };
  }

  /** False where it was refused, or nobody knows. */
  #put({ etag }: Seen, turn: Turn): Promise<boolean> {
    return putOver(this.#parts.store, turnKey, { body: JSON.stringify(turn), etag });
  }
}

/** What can't be read is as if nobody had published yet. */
function turnOf(body = "{}"): Turn {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    value = {}; // written anew by the next
  }
  const { begun, ended, errors, by, beat } = isRecord(value) ? value : {};
  return {
    begun: countOf(begun),
    ended: countOf(ended),
    errors: Array.isArray(errors) ? errors.filter((one) => typeof one === "string") : [],
    ...(typeof by === "string" ? { by, beat: countOf(beat) } : {}),
  };
}

function countOf(value: unknown): number {
  return Number.isSafeInteger(value) ? Number(value) : 0;
}
