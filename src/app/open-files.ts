/** How many files and pipes the process may have open bounds what a run can do at once. */
import { FenError } from "../kernel/errors.ts";
import type { Machine } from "../kernel/machine.ts";
import type { LockDriver } from "../store/contract.ts";
import type { AppEvent } from "./context.ts";

/** A command's own, while it takes locks. */
const ownFiles = 26;
/** Its own while a run is going on: the journal, the log, records that are written beside the steps. */
const ownFilesInRun = 40;
/** The lock of a step, what it has written, and the pipes to its command. */
const filesAStep = 12;

interface Bounded {
  readonly machine: Machine;
  readonly driver: Pick<LockDriver, "filesALock">;
}

/** Throws `store_unavailable` where so many models can't be locked together. Nothing was locked then. */
export function refuseTooManyLocks({ machine, driver }: Bounded, models: number): void {
  const { mostOpenFiles = Infinity } = machine.host;
  const needed = ownFiles + models * (driver.filesALock?.taking ?? 0);
  if (models <= 1 || needed <= mostOpenFiles) return;
  throw new FenError(
    "store_unavailable",
    `The run locks ${models} models at once, for which ${needed} files are open together; this process may have ${mostOpenFiles}.`,
    {
      remedy: `Raise the limit (ulimit -n ${Math.max(1024, 2 ** Math.ceil(Math.log2(needed * 2)))}), or lock each model only for its step (lock: step in the workflow)`,
      facts: { systemCode: "EMFILE" },
    },
  );
}

/** So many steps at once have enough files, at least one. `held`: so many models are locked. */
export function stepsThatFit({ machine, driver, held }: Bounded & { readonly held: number }): number {
  const { mostOpenFiles = Infinity } = machine.host;
  const left = mostOpenFiles - ownFilesInRun - held * (driver.filesALock?.held ?? 0);
  return Math.max(1, Math.floor(left / filesAStep));
}

/** As many steps at once as were asked for, or as fit. With a warning where that is fewer. */
export function stepsAtOnce(
  bounds: Bounded & { readonly held: number },
  asked: number,
  emit: (event: AppEvent) => void,
): number {
  const most = stepsThatFit(bounds);
  if (asked <= most) return asked;
  emit({
    event: "warning",
    message: `At most ${most} step${most === 1 ? " is" : "s are"} at work at once, because this process may have only ${bounds.machine.host.mostOpenFiles} files open.`,
    hint: "Raise the limit: ulimit -n 4096",
  });
  return most;
}
