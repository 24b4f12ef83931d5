/** A revoker that is held up at any of its calls: what it then does must not hit another than the one that it was told of. */
import { closeSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import { datastore, db, granted, LockWorld, web } from "../../../../test/support/lock-world.ts";
import { betweenCalls } from "../../../../test/support/watched-fs.ts";
import type { Resource } from "../../contract.ts";

vi.mock("node:fs", async (original) => {
  const { watched } = await import("../../../../test/support/watched-fs.ts");
  return watched(await original());
});

/** Runs the revocation with `meanwhile` after its call number `at`; false where it makes fewer. */
async function revokeWith(
  world: LockWorld,
  resource: Resource,
  nonce: string,
  at: number,
  meanwhile: () => void,
): Promise<boolean> {
  let calls = 0;
  const driver = world.driver();
  await betweenCalls(
    () => {
      if (++calls === at) meanwhile();
    },
    () => driver.revoke(resource, nonce),
  );
  return calls >= at;
}

describe.each([web, datastore])("a release by force of %o", (resource) => {
  test("never hits the next holder, wherever the first gives back", async () => {
    let isWithin = true;
    for (let at = 1; isWithin; at++) {
      using world = new LockWorld();
      const { table } = world.folder;
      const holder = await world.take(resource);
      const next = await world.ask(resource);
      await next.attempt();
      let generation = 0;
      const fds: number[] = [];
      isWithin = await revokeWith(world, resource, holder.nonce, at, () => {
        void holder.release(); // all of it happens before the first await
        generation = table.generation(resource);
        fds.push(table.open());
      });
      if (isWithin) expect(table.generation(resource), `after call ${at}`).toBe(generation);
      for (const fd of fds) {
        expect(table.isCurrent(fd), `after call ${at}`).toBe(true);
        closeSync(fd);
      }
      const grant = granted(await next.attempt());
      expect(await grant.check()).toBe("held");
      await grant.release();
      await holder.release();
    }
  });
});

test("one of those who shared, released when another already was, takes nothing from who came after", async () => {
  using world = new LockWorld();
  const [one, two] = [await world.take(web, "shared"), await world.take(web, "shared")];
  expect(await world.driver().revoke(web, one.nonce)).toBe(true);
  const next = await world.take(web, "shared");
  expect(await two.check()).toBe("lost"); // it has the same lock as the first, and doesn't know yet
  expect(await world.driver().revoke(web, two.nonce)).toBe(true);
  expect(await next.check()).toBe("held");
});

test("one who waited behind the holder is woken though the holder still lives", async () => {
  using world = new LockWorld();
  const holder = await world.take(db);
  const next = await world.ask(db);
  await next.attempt();
  await world.driver().revoke(db, holder.nonce);
  const began = world.clock.monotonic();
  await world.clock.turnUntil(next.changed(10_000, new AbortController().signal));
  expect(world.clock.monotonic() - began).toBeLessThan(1000);
  await granted(await next.attempt()).release();
});
