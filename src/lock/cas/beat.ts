/**
 * The renewal of one claim. It runs beside the turn and touches the claim only.
 *
 * resting -> writing -> resting, or, where the answer was lost or refused, writing -> reading -> resting | writing | lost.
 */
import type { Answer, Ask, ClaimName } from "./ask.ts";

export interface Beat {
  readonly claim: ClaimName;
  readonly count: number;
  readonly etag: string;
  /** When the last renewal that worked *began*, on our own clock. */
  readonly renewedAt: number;
  readonly at:
    | { readonly is: "resting" | "lost" }
    | { readonly is: "writing" | "reading"; readonly ask: Ask; readonly startedAt: number };
}

export function firstBeat(claim: ClaimName, etag: string, startedAt: number): Beat {
  return { claim, count: 0, etag, renewedAt: startedAt, at: { is: "resting" } };
}

export function renew(beat: Beat, now: number): Beat {
  const state = { beat: beat.count + 1 };
  const ask: Ask = { do: "write-claim", claim: beat.claim, state, if: { ifMatch: beat.etag } };
  return { ...beat, at: { is: "writing", ask, startedAt: now } };
}

export function heardBeat(beat: Beat, answer: Answer, now: number): Beat {
  if (beat.at.is !== "writing" && beat.at.is !== "reading") return beat;
  const { startedAt } = beat.at;
  const renewed = (etag: string): Beat => ({
    ...beat,
    count: beat.count + 1,
    etag,
    renewedAt: startedAt,
    at: { is: "resting" },
  });
  const read: Beat = { ...beat, at: { is: "reading", ask: { do: "read-claim", claim: beat.claim }, startedAt } };
  if (beat.at.is === "writing") return answer.is === "done" && answer.etag !== undefined ? renewed(answer.etag) : read;
  if (answer.is === "unknown") return read;
  // Ours, though its answer was lost; still the one before; or not ours any more: ended, or gone.
  if (answer.is === "claim" && !answer.state.ended && answer.state.beat === beat.count + 1) return renewed(answer.etag);
  if (answer.is === "claim" && !answer.state.ended && answer.etag === beat.etag) return renew(beat, now);
  return { ...beat, at: { is: "lost" } };
}
