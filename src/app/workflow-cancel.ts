/** `workflow cancel`: asks whoever carries a run out to end it: children first, then the records, then the locks. */
import { FenError } from "../kernel/errors.ts";
import { readJournal } from "../workflow/journal-reader.ts";
import { runFiles } from "../workflow/run-files.ts";
import type { AppContext } from "./context.ts";
import { nestedRun } from "./find-run.ts";
import { PastRuns } from "./past-runs.ts";
import { openWorkspace } from "./workspace.ts";

export interface CancelDocument {
  readonly id: string;
  readonly workflowId: string;
  /** `ended`: it has ended now. `asked`: it was told, and is still ending its children. */
  readonly status: "ended" | "asked";
}

/** Waits up to `waitMs` for the end. Throws `run_missing`, `run_nested`, `run_ended` where nobody carries it out (any more). */
export async function cancelRun(
  context: AppContext,
  options: { readonly run: string; readonly waitMs: number },
): Promise<CancelDocument> {
  const workspace = await openWorkspace(context);
  const { datastore } = workspace;
  const ref = await new PastRuns(workspace).find(options.run);
  const { owner, cancel, journal } = runFiles(ref);
  const isAlive = async () => (await datastore.journals.owner(owner)) === "alive";
  if (!(await isAlive()))
    throw new FenError("run_ended", `Nobody is carrying out the run ${ref.id}: it has ended, or died.`, {
      hint: `Look at it: fen workflow history get ${ref.id}   Go on with it: fen workflow resume ${ref.id}`,
      facts: { run: ref.id },
    });
  const parent = (await readJournal(datastore.journals, journal))?.state.parent?.run;
  if (parent !== undefined) throw nestedRun(ref.id, parent, `End that one: fen workflow cancel ${parent}`);
  await datastore.files.write(cancel, "");
  const { clock } = context.machine;
  for (const end = clock.monotonic() + options.waitMs; clock.monotonic() < end;) {
    await clock.sleep(datastore.lookEveryMs / 2, context.signal);
    if (!(await isAlive())) return { ...ref, status: "ended" };
  }
  return { ...ref, status: "asked" };
}
