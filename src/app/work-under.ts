/** Work under locks that go back when it ends. */
import type { Lease } from "../lock/lease.ts";

/**
 * Works under what is held, then gives it back. Where both fail the work's error is the one to tell: a lock that can't be given back ends with its time, and
 * whoever reads that must not miss what became of the work.
 */
export async function workUnder<T>(held: Pick<Lease, "release">, work: () => Promise<T>): Promise<T> {
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await held.release().catch(() => undefined); // as said
    throw error;
  }
  await held.release();
  return result;
}
