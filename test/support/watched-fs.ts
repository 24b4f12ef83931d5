/**
 * `node:fs` with a look between any two of its calls, for `vi.mock`: whoever is killed or paused there leaves exactly what is seen then, and
 * whoever reads then gets exactly that.
 */
import type * as fs from "node:fs";

let afterEachCall: () => void = () => undefined;
let isLooking = false;

/** Runs `work`, and `look` after each call that it makes into the filesystem. */
export function betweenCalls<T>(look: () => void, work: () => T): T {
  afterEachCall = look;
  try {
    return work();
  } finally {
    afterEachCall = () => undefined;
  }
}

/** The same module, its synchronous functions watched. */
export function watched(original: typeof fs): typeof fs {
  const copy = Object.entries(original).map(([name, value]) => [name, name.endsWith("Sync") ? watch(value) : value]);
  const all = Object.fromEntries(copy);
  return { ...all, default: all };
}

function watch(call: unknown): unknown {
  if (typeof call !== "function") return call;
  return (...args: unknown[]) => {
    try {
      return call(...args);
    } finally {
      lookOnce();
    }
  };
}

/** The look itself reads files. */
function lookOnce(): void {
  if (isLooking) return;
  isLooking = true;
  try {
    afterEachCall();
  } finally {
    isLooking = false;
  }
}
