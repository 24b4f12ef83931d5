/** Where the files of a run are, relative to the datastore. */
import { FenError } from "../kernel/errors.ts";

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export interface RunRef {
  readonly workflowId: string;
  readonly id: string;
}

export const runsFolder = "workflow-runs";

export interface RunFiles {
  /** The record of the format. */
  readonly record: string;
  readonly log: string;
  readonly journal: string;
  /** Owned as long as somebody carries the run out. */
  readonly owner: string;
  /** Whoever makes it wants the run to end. */
  readonly cancel: string;
}

/** Throws `path_escapes` for ids that aren't any. */
export function runFiles({ workflowId, id }: RunRef): RunFiles {
  for (const part of [workflowId, id])
    if (!uuid.test(part))
      throw new FenError("path_escapes", `Not the id of a workflow run: ${part.slice(0, 80)}`, {
        hint: "List the runs: fen workflow history search",
      });
  const stem = `${runsFolder}/${workflowId}/workflow-run-${id}`;
  const live = `.fen/runs/${id}`;
  return {
    record: `${stem}.yaml`,
    log: `${stem}.log`,
    journal: `${stem}.journal`,
    owner: `${live}.owner`,
    cancel: `${live}.cancel`,
  };
}
