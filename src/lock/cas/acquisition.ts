/**
 * What one caller asks of one resource: a turn on it and, where a model command had to stand back for a structural one, a turn in intention mode on the
 * datastore. Given back in the opposite order. A value, like the turns.
 */
import type { Answer, Ask } from "./ask.ts";
import type { Entry } from "./record.ts";
import type { Rules, Timing } from "./rules.ts";
import { commit, cover, datastoreKey, heard, leave, startTurn, type Turn, wake } from "./turn.ts";

export interface Acquisition {
  readonly main: Turn;
  readonly gate?: Turn;
}

export function acquire(key: string, me: Entry, how: { readonly rules: Rules; readonly times: Timing }): Acquisition {
  return { main: startTurn(key, me, how) };
}

/** The turn whose step is next. */
export function active({ main, gate }: Acquisition): Turn {
  if (gate === undefined || gate.at.is === "held" || gate.at.is === "gone") return main;
  return main.at.is === "yielded" || main.at.is === "gone" ? gate : main;
}

/** What is to be asked of the store now; undefined while it waits, holds or has ended. */
export function asked(all: Acquisition): Ask | undefined {
  const { at } = active(all);
  return at.is === "asking" ? at.ask : undefined;
}

export function answered(all: Acquisition, answer: Answer, now: number): Acquisition {
  return link(replace(all, heard(active(all), answer, now)));
}

export function wakeUp(all: Acquisition, look: "record" | "claims", now: number): Acquisition {
  return replace(all, wake(active(all), look, now));
}

export function commitHead(all: Acquisition, head: string, last: boolean): Acquisition {
  return { ...all, main: commit(all.main, head, last) };
}

/** Gives everything back, or up. */
export function giveBack(all: Acquisition): Acquisition {
  return link({ ...all, main: leave(all.main) });
}

export function standing(all: Acquisition): "asking" | "waiting" | "held" | "gone" | "lost" {
  const { at } = active(all);
  if (all.main.at.is === "lost" || all.gate?.at.is === "lost") return at.is === "asking" ? "asking" : "lost";
  return at.is === "draining" || at.is === "yielded" ? "waiting" : at.is;
}

function replace(all: Acquisition, turn: Turn): Acquisition {
  return turn.key === all.main.key ? { ...all, main: turn } : { ...all, gate: turn };
}

function link(all: Acquisition): Acquisition {
  const { main, gate } = all;
  if (main.at.is === "yielded" && gate === undefined) {
    const { nonce, who } = main.me;
    return { main, gate: startTurn(datastoreKey, { nonce, mode: "intention", who }, main) };
  }
  if (main.at.is === "yielded" && gate?.at.is === "held") return { main: cover(main), gate };
  if (main.at.is === "gone" && gate !== undefined && gate.goal.want !== "leave") return { main, gate: leave(gate) };
  return all;
}
