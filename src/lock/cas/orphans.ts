/** Claims that no record names: their owners died before they entered one. They are in nobody's way. */
import type { Means } from "./hold.ts";
import { listClaims, tellOrThrow } from "./inspect.ts";

/**
 * Removes them, and gives their number. Where there are any it takes as long as a living waiter may be quiet; each is ended first, as in a takeover, so
 * that an owner that was only paused learns of it. For structural commands, with the datastore in their hands.
 */
export async function removeOrphans(means: Means): Promise<number> {
  const known = new Set((await orphans(means)).map(({ etag }) => etag));
  if (known.size === 0) return 0;
  await means.machine.clock.sleep(means.times.waiterQuietMs);
  let removed = 0;
  for (const { etag, ...claim } of (await orphans(means)).filter((one) => known.has(one.etag))) {
    const ending = means.rules.end(claim, { etag, since: 0, waits: true });
    if (ending === undefined || (await tellOrThrow(means, ending)).is !== "done") continue;
    await tellOrThrow(means, { do: "remove-claim", claim });
    removed++;
  }
  return removed;
}

async function orphans(means: Means): ReturnType<typeof listClaims> {
  const claims = await listClaims(means);
  const named = new Set<string>();
  for (const key of new Set(claims.map((one) => one.key))) {
    const found = await tellOrThrow(means, { do: "read-record", key });
    // Nobody can tell whom an unreadable one names.
    const all = found.is === "unreadable" ? claims.filter((one) => one.key === key) : [];
    for (const { nonce } of found.is === "record" ? [...found.state.holders, ...found.state.queue] : all)
      named.add(nonce);
  }
  return claims.filter(({ nonce }) => !named.has(nonce));
}
