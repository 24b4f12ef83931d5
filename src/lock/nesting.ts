/**
 * What a request means to somebody who holds something already (Gray's modes, one level deep): covered by what is held, in conflict with it (then
 * waiting would be for ever), or nothing to do with it. Pure.
 */
import { FenError } from "../kernel/errors.ts";
import { type Holding, type Resource, resourceKey, sameResource } from "../store/contract.ts";
import type { LockRequest } from "./lease.ts";

/** The innermost holding that covers the request, or undefined. Throws `lock_would_deadlock` where a conflicting one is held above. */
export function coverOf(
  request: LockRequest,
  held: { readonly holdings: readonly Holding[]; readonly unshared: readonly Holding[] },
): Holding | undefined {
  const touching = held.holdings.filter((holding) => overlap(holding.resource, request.resource));
  const covering = touching.filter((holding) => covers(holding, request));
  const inTheWay =
    touching.find((holding) => !covers(holding, request) && conflict(holding, request)) ??
    held.unshared.find((holding) => isLostFor(holding, request));
  if (inTheWay !== undefined) throw wouldDeadlock(request, inTheWay);
  return covering.at(-1);
}

/**
 * What is held above and can't be shared is in the way also where the modes agree: who waits for it in between would be waited for, and waits for us.
 */
function isLostFor(holding: Holding, request: LockRequest): boolean {
  return (
    sameResource(holding.resource, request.resource) ||
    (overlap(holding.resource, request.resource) && conflict(holding, request))
  );
}

function covers(holding: Holding, request: LockRequest): boolean {
  return (
    (holding.resource.kind === "datastore" || sameResource(holding.resource, request.resource)) &&
    (holding.mode === "exclusive" || request.mode === "shared")
  );
}

function overlap(a: Resource, b: Resource): boolean {
  return a.kind === "datastore" || b.kind === "datastore" || sameResource(a, b);
}

function conflict(holding: Holding, request: LockRequest): boolean {
  return holding.mode === "exclusive" || request.mode === "exclusive";
}

export function wouldDeadlock(request: LockRequest, holding: Holding): FenError {
  const [wanted, held] = [resourceKey(request.resource), resourceKey(holding.resource)];
  return new FenError(
    "lock_would_deadlock",
    `This command wants the lock on ${request.label ?? wanted} (${request.mode}), but the command that called it (pid ${holding.pid}) holds ${held === wanted ? (request.label ?? held) : held} (${holding.mode}) and waits for it.`,
    {
      hint: "Run it outside of that method, or after it. See who holds what: fen datastore lock status",
      facts: { resource: wanted, held, heldMode: holding.mode, holderPid: holding.pid, nonce: holding.nonce },
    },
  );
}
