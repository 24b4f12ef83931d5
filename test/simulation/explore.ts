/** Breadth-first search over everything that can happen, with a trace to whatever is wrong. */

export interface Step<State> {
  readonly label: string;
  readonly next: State;
  /** Something goes wrong here; progress may not depend on it. */
  readonly fault?: boolean;
  /** What this step itself broke. */
  readonly broken?: string | undefined;
}

export interface Space<State> {
  readonly initial: State;
  steps(state: State): readonly Step<State>[];
  /** Equal for states from which the same can happen. */
  encode(state: State): string;
  /** What is wrong with this state. */
  broken(state: State): string | undefined;
  /** Nothing is left to do. */
  finished(state: State): boolean;
}

export interface Explored {
  readonly states: number;
  readonly steps: number;
  readonly failure?: { readonly what: string; readonly trace: readonly string[] };
}

/** Visits every state. Fails on a broken one, on one where nothing can happen any more, and on one from which no fault-free way leads to an end. */
export function explore<State>(space: Space<State>, maxStates = 5_000_000): Explored {
  const index = new Map<number, number>();
  const parents: number[] = [];
  const labels: string[] = [];
  const from: number[] = [];
  const to: number[] = [];
  const ends: number[] = [];
  let frontier: { id: number; state: State }[] = [];
  let steps = 0;
  const trace = (id: number, last?: string): string[] => {
    const labelsBack: string[] = last === undefined ? [] : [last];
    for (let at = id; at > 0; at = parents[at] ?? 0) labelsBack.push(labels[at] ?? "");
    return labelsBack.reverse();
  };
  const fail = (what: string, id: number, last?: string): Explored => ({
    states: index.size,
    steps,
    failure: { what, trace: trace(id, last) },
  });
  const visit = (state: State, parent: number, label: string): { id: number; fresh: boolean } => {
    const code = hash53(space.encode(state));
    const known = index.get(code);
    if (known !== undefined) return { id: known, fresh: false };
    const id = index.size;
    index.set(code, id);
    parents.push(parent);
    labels.push(label);
    return { id, fresh: true };
  };
  frontier.push({ id: visit(space.initial, 0, "").id, state: space.initial });
  while (frontier.length > 0) {
    const upcoming: { id: number; state: State }[] = [];
    for (const { id, state } of frontier) {
      const possible = space.steps(state);
      if (space.finished(state)) ends.push(id);
      else if (!possible.some((step) => !step.fault)) return fail("nothing can happen any more", id);
      for (const { label, next, fault, broken } of possible) {
        steps++;
        if (broken !== undefined) return fail(broken, id, label);
        const { id: nextId, fresh } = visit(next, id, label);
        if (!fault) {
          from.push(id);
          to.push(nextId);
        }
        if (!fresh) continue;
        const wrong = space.broken(next);
        if (wrong !== undefined) return fail(wrong, nextId);
        upcoming.push({ id: nextId, state: next });
      }
      if (index.size > maxStates) return fail(`more than ${maxStates} states`, id);
    }
    frontier = upcoming;
  }
  const stuck = cutOff(index.size, from, to, ends);
  return stuck === undefined ? { states: index.size, steps } : fail("no way leads to an end from here", stuck);
}

/** The first state from which no end can be reached. */
function cutOff(size: number, from: readonly number[], to: readonly number[], ends: readonly number[]) {
  const start = new Int32Array(size + 1);
  for (const target of to) start[target + 1] = (start[target + 1] ?? 0) + 1;
  for (let at = 0; at < size; at++) start[at + 1] = (start[at + 1] ?? 0) + (start[at] ?? 0);
  const fill = start.slice();
  const sources = new Int32Array(to.length);
  for (const [edge, target] of to.entries()) {
    const slot = fill[target] ?? 0;
    sources[slot] = from[edge] ?? 0;
    fill[target] = slot + 1;
  }
  const reached = new Uint8Array(size);
  const open = [...ends];
  for (const end of ends) reached[end] = 1;
  for (let target = open.pop(); target !== undefined; target = open.pop())
    for (let slot = start[target] ?? 0; slot < (start[target + 1] ?? 0); slot++) {
      const source = sources[slot] ?? 0;
      if (reached[source] === 1) continue;
      reached[source] = 1;
      open.push(source);
    }
  const stuck = reached.indexOf(0);
  return stuck < 0 ? undefined : stuck;
}

/** Two 32-bit hashes in one exact number: of 3 million states, two would meet once in about 2,000 searches. */
function hash53(text: string): number {
  let a = 0x811c9dc5;
  let b = 0x2f0b4c47;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    a = Math.imul(a ^ char, 0x01000193);
    b = Math.imul(b ^ char, 0x5bd1e995);
    b ^= b >>> 15;
  }
  a ^= a >>> 13;
  a = Math.imul(a, 0x85ebca6b);
  a ^= a >>> 16;
  return (a >>> 0) * 0x200000 + ((b >>> 0) & 0x1fffff);
}
