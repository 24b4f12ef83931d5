/** What a round is like, by its seed, and what came out of rounds, in a few words. */
import type { RoundOptions, RoundResult } from "./runner.ts";

/** One round in five is on a small disk that is full now and then; the others have the program itself among the workers. */
export function planRound(
  seed: number,
  size: { readonly seconds: number; readonly processes: number; readonly commands?: number; readonly brisk?: boolean },
): RoundOptions {
  const smallDisk = seed % 5 === 4;
  return { seed, ...size, commands: smallDisk ? 0 : (size.commands ?? 1), smallDisk };
}

export function summarize(results: readonly RoundResult[], what: string): string {
  const sum = (pick: (result: RoundResult) => number) => results.reduce((total, result) => total + pick(result), 0);
  const handOvers = results.flatMap((result) => result.handOvers).sort((a, b) => a - b);
  const takeovers = results.flatMap((result) => result.takeovers).sort((a, b) => a - b);
  const excused = new Map<string, number>();
  for (const result of results)
    for (const [code, count] of Object.entries(result.excused)) excused.set(code, (excused.get(code) ?? 0) + count);
  const seconds = sum((result) => result.ms) / 1000;
  return [
    `${what}: ${sum((one) => one.violations.length)} violations`,
    `${sum((one) => one.grants)} grants (${sum((one) => one.structural)} of everything) in ${seconds.toFixed(0)} s`,
    `${sum((one) => one.kills)} kills, ${sum((one) => one.pauses)} pauses, ${sum((one) => one.quits)} given up, ${sum((one) => one.loans)} lent, ${sum((one) => one.revocations)} taken away`,
    `hand-over ${spread(handOvers)}`,
    `after a kill ${spread(takeovers)}`,
    `errors of the world: ${[...excused].map(([code, count]) => `${code} ${count}`).join(", ") || "none"}`,
  ].join("; ");
}

function spread(sorted: readonly number[]): string {
  if (sorted.length === 0) return "none seen";
  const at = (share: number) => ((sorted[Math.floor((sorted.length - 1) * share)] ?? 0) / 1000).toFixed(1);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms (${sorted.length})`;
}
