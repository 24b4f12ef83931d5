/** Break-glass: takes a lock from its holder, in the two swaps of a takeover, whether it lives or not. */
import { type Resource, resourceKey } from "../../store/contract.ts";
import type { ClaimName } from "./ask.ts";
import type { Means } from "./hold.ts";
import { inspectRecords, keyUnder, tellOrThrow } from "./inspect.ts";
import { freshState, has } from "./record.ts";

export async function breakGlass(means: Means, resource: Resource, nonce: string | undefined): Promise<boolean> {
  if (nonce === undefined) return replaceUnreadable(means, resourceKey(resource));
  const { held } = await inspectRecords(means, resource);
  const lock = held.find(({ record }) => record?.nonce === nonce);
  if (lock === undefined) return false;
  const claim = { key: keyUnder(lock.resource, lock.under), nonce };
  await endClaim(means, claim);
  return takeOut(means, claim);
}

async function endClaim(means: Means, claim: ClaimName): Promise<void> {
  for (;;) {
    const found = await tellOrThrow(means, { do: "read-claim", claim });
    if (found.is === "claim" && found.state.ended) return;
    const etag = found.is === "claim" ? found.etag : undefined;
    const ending = means.rules.end(claim, { etag, since: 0, waits: false });
    if (ending === undefined || (await means.objects.tell(ending)).is === "done") return;
  }
}

async function takeOut(means: Means, { key, nonce }: ClaimName): Promise<boolean> {
  let asked = false;
  for (;;) {
    const found = await tellOrThrow(means, { do: "read-record", key });
    // Gone after we asked without an answer: it was us, or the holder that left; either way its lock is over.
    if (found.is !== "record" || !has(found.state.holders, nonce)) return asked;
    const state = means.rules.withdraw(found.state, nonce);
    const condition = means.rules.changeIf(found.etag);
    const answer = await means.objects.tell({ do: "write-record", key, state, if: condition });
    if (answer.is === "done") return true;
    asked ||= answer.is === "unknown";
  }
}

/**
 * Its token can't be known any more. The new one starts above any that counting can have reached: the seconds since 1970 outgrow a lock that is granted
 * once a second.
 */
async function replaceUnreadable(means: Means, key: string): Promise<boolean> {
  const found = await tellOrThrow(means, { do: "read-record", key });
  if (found.is !== "unreadable") return false;
  const state = { ...freshState, token: Math.floor(means.machine.clock.now() / 1000) };
  return (await tellOrThrow(means, { do: "write-record", key, state, if: { ifMatch: found.etag } })).is === "done";
}
