/** Breadth-first over every interleaving: all states that can be reached, the shortest way to what is broken, and whether every one can come to its end. */
import { isSettled } from "./kernel-others.ts";
import { broken, type Move, movesOf } from "./kernel-world.ts";
import { common, type Config, start, State } from "./kernel-state.ts";

export interface Found {
  readonly states: number;
  readonly transitions: number;
  /** States in which somebody had to give way to end a wait cycle. */
  readonly cycles: number;
  /** The shortest way to one. */
  readonly cycle?: readonly string[];
  /** What was broken, and the shortest way there. */
  readonly broken?: { readonly what: string; readonly trace: readonly string[] };
}

/** Ways between states, both ends one after the other; grows by doubling. */
class Edges {
  #ends = new Int32Array(1 << 16);
  length = 0;

  push(from: number, to: number): void {
    if (this.length + 2 > this.#ends.length) {
      const more = new Int32Array(this.#ends.length * 2);
      more.set(this.#ends);
      this.#ends = more;
    }
    this.#ends[this.length++] = from;
    this.#ends[this.length++] = to;
  }

  at(index: number): number {
    return this.#ends[index] ?? 0;
  }
}

/** All of it; ends at the first thing that is broken. */
export function search(config: Config): Found {
  const first = start(config);
  const known = new Map<string, number>([[keyOf(first), 0]]);
  const all: Uint8Array[] = [first.bytes];
  const before: number[] = [-1];
  const edges = new Edges();
  let transitions = 0;
  let cycles = 0;
  let cycle: readonly string[] | undefined;
  const at = (index: number) => new State(config, all[index] ?? first.bytes);
  for (let index = 0; index < all.length; index++) {
    for (const move of movesOf(at(index))) {
      transitions++;
      const key = keyOf(move.next);
      let to = known.get(key);
      if (to === undefined) {
        to = all.length;
        known.set(key, to);
        all.push(move.next.bytes);
        before.push(index);
        if (move.next.common(common.cycles) !== 0 && cycles++ === 0) cycle = traceTo(config, { all, before }, to);
      }
      const what = move.next.violation ?? broken(move.next);
      if (what !== undefined) {
        const trace = [...traceTo(config, { all, before }, index), told(move)];
        return { states: all.length, transitions, cycles, broken: { what, trace } };
      }
      if (move.isFault !== true) edges.push(index, to);
    }
  }
  const stuck = firstStuck(at, { count: all.length, edges });
  const found = { states: all.length, transitions, cycles, ...(cycle === undefined ? {} : { cycle }) };
  return stuck === undefined
    ? found
    : { ...found, broken: { what: "somebody waits for ever", trace: traceTo(config, { all, before }, stuck) } };
}

function keyOf({ bytes }: State): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

function told(move: Move): string {
  return `${move.actor}: ${move.name}`;
}

function traceTo(
  config: Config,
  known: { readonly all: readonly Uint8Array[]; readonly before: readonly number[] },
  index: number,
): string[] {
  const trace: string[] = [];
  for (let to = index; to > 0; to = known.before[to] ?? 0) {
    const from = new State(config, known.all[known.before[to] ?? 0] ?? new Uint8Array());
    const key = keyOf(new State(config, known.all[to] ?? new Uint8Array()));
    const move = movesOf(from).find(({ next }) => keyOf(next) === key);
    trace.unshift(move === undefined ? "?" : told(move));
  }
  return trace;
}

/** The first state from which no way leads to the end of all, though nothing bad happens any more. */
function firstStuck(
  at: (index: number) => State,
  { count, edges }: { readonly count: number; readonly edges: Edges },
): number | undefined {
  const heads = new Int32Array(count).fill(-1);
  const next = new Int32Array(edges.length / 2);
  for (let edge = 0; edge < next.length; edge++) {
    const to = edges.at(edge * 2 + 1);
    next[edge] = heads[to] ?? -1;
    heads[to] = edge;
  }
  const ends = new Uint8Array(count);
  const rest: number[] = [];
  for (let index = 0; index < count; index++) {
    if (!isSettled(at(index))) continue;
    ends[index] = 1;
    rest.push(index);
  }
  for (let index = rest.pop(); index !== undefined; index = rest.pop()) {
    for (let edge = heads[index] ?? -1; edge >= 0; edge = next[edge] ?? -1) {
      const from = edges.at(edge * 2);
      if (ends[from] === 1) continue;
      ends[from] = 1;
      rest.push(from);
    }
  }
  const stuck = ends.indexOf(0);
  return stuck < 0 ? undefined : stuck;
}
