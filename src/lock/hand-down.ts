/**
 * Locks handed down to the commands that a holder calls: words in an environment variable, and the descriptors that carry the locks. The words only say
 * where to look; the store decides what is true of them (`LockDriver.inherit`).
 */
import type { Holding, LockMode, Resource } from "../store/contract.ts";
import { resourceKey } from "../store/contract.ts";

/** Names the locks that a command works within. Set for children; of no use elsewhere. */
export const heldLocksVariable = "FEN_HELD_LOCKS";
/** A child's first descriptor behind stdin, stdout and stderr. */
const firstDescriptor = 3;
const longest = 64 * 1024;

export interface HandedDown {
  /** For a child's `stdio`, from position 3 on, in this order. */
  readonly descriptors: readonly number[];
  readonly env: Readonly<Record<string, string>>;
}

export function handDown(holdings: readonly Holding[]): HandedDown {
  const descriptors: number[] = [];
  const said = holdings.map(({ resource, mode, nonce, token, pid, owner, under, descriptor }) => {
    const place = descriptor === undefined ? {} : { fd: firstDescriptor + descriptors.push(descriptor) - 1 };
    return {
      resource: resourceKey(resource),
      mode,
      nonce,
      token,
      pid,
      ...(owner === undefined ? {} : { owner }),
      ...(under === undefined ? {} : { under }),
      ...place,
    };
  });
  return { descriptors, env: holdings.length === 0 ? {} : { [heldLocksVariable]: JSON.stringify(said) } };
}

/** What a caller says that it handed down. Nothing where it says nothing, or nonsense. */
export function readHandedDown(env: Readonly<Record<string, string | undefined>>): Holding[] {
  const text = env[heldLocksVariable] ?? "";
  if (text === "" || text.length > longest) return [];
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return []; // not ours: as if it were not there
  }
  return Array.isArray(value) ? value.flatMap(readOne) : [];
}

function readOne(value: unknown): Holding[] {
  if (typeof value !== "object" || value === null) return [];
  const { resource, mode, nonce, token, pid, owner, under, fd }: Record<string, unknown> = { ...value };
  const named = typeof resource === "string" ? readResource(resource) : undefined;
  if (named === undefined || typeof nonce !== "string" || typeof token !== "number" || typeof pid !== "number")
    return [];
  if (!isMode(mode)) return [];
  return [
    {
      resource: named,
      mode,
      nonce,
      token,
      pid,
      ...(typeof owner === "string" ? { owner } : {}),
      ...(typeof under === "string" ? { under } : {}),
      ...(typeof fd === "number" && Number.isInteger(fd) && fd >= firstDescriptor ? { descriptor: fd } : {}),
    },
  ];
}

function isMode(value: unknown): value is LockMode {
  return value === "shared" || value === "exclusive";
}

function readResource(key: string): Resource | undefined {
  if (key === "datastore") return { kind: "datastore" };
  const cut = key.lastIndexOf("/");
  return cut > 0 ? { kind: "model", type: key.slice(0, cut), id: key.slice(cut + 1) } : undefined;
}
