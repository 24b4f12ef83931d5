/**
 * A run can die between a step's end and giving the step's model back. Where nothing that is left of the run wants the model, nobody takes away the record of
 * that lock until another command comes. It is in nobody's way, but it shows, and programs that know only records wait for it.
 */
import { FenError } from "../kernel/errors.ts";
import type { LockRequest } from "../lock/lease.ts";
import { resourceKey } from "../store/contract.ts";
import type { PlannedRun } from "../workflow/plan.ts";
import { plannedUses } from "./workflow-planning.ts";
import type { Workspace } from "./workspace.ts";

/** Asks a call of the plan: by the step's number, and its place among the step's calls. */
type IsCall = (step: number, index: number) => boolean;

/** Before a run is gone on with: takes away what is left of locks that only calls which `endedLately` had, and no `wanted` one. */
export async function takeAwayLeftLocks(
  { datastore, locks }: Workspace,
  plan: PlannedRun,
  { wanted, endedLately }: { readonly wanted: IsCall; readonly endedLately: IsCall },
): Promise<void> {
  const requests = (calls: IsCall): readonly LockRequest[] =>
    [...plannedUses(plan, calls).values()].map(({ request }) => request);
  const seen = new Set(requests(wanted).map(({ resource }) => resourceKey(resource)));
  for (const request of requests((step, index) => !wanted(step, index) && endedLately(step, index))) {
    const key = resourceKey(request.resource);
    if (seen.has(key)) continue;
    seen.add(key);
    try {
      const { held } = await datastore.locks.inspect(request.resource);
      if (!held.some(({ state }) => state === "stale")) continue;
      const lease = await locks.acquire([{ ...request, mode: "exclusive" }], { timeoutMs: 0 });
      await lease.release();
    } catch (error) {
      if (!(error instanceof FenError)) throw error; // somebody has it now, or the store fails: the run will tell
    }
  }
}
