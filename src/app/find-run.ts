/** A workflow run by its id, or the first digits of it. */
import { FenError } from "../kernel/errors.ts";
import { isIdPrefix } from "../repo/named-files.ts";
import type { Files } from "../store/contract.ts";
import { type RunRef, runsFolder } from "../workflow/run-files.ts";

/** All runs that have a journal, a record or a log, in no order. */
export async function listRuns(files: Files, workflowId?: string): Promise<RunRef[]> {
  const folders =
    workflowId === undefined
      ? (await files.list(runsFolder)).filter((one) => one.kind === "folder")
      : [{ name: workflowId }];
  const found = new Map<string, RunRef>();
  for (const { name: folder } of folders)
    for (const { name } of await files.list(`${runsFolder}/${folder}`)) {
      const id = /^workflow-run-([0-9a-f-]{36})\.(?:yaml|journal|log)$/i.exec(name)?.[1];
      if (id !== undefined && /^[0-9a-f-]{36}$/i.test(folder)) found.set(id, { workflowId: folder, id });
    }
  return [...found.values()];
}

/** Throws `run_missing`, `id_ambiguous`. */
export async function findRun(files: Files, idOrPrefix: string): Promise<RunRef> {
  const wanted = idOrPrefix.toLowerCase();
  const missing = new FenError("run_missing", `No workflow run has the id ${idOrPrefix}.`, {
    hint: "List them: fen workflow history search",
    facts: { id: idOrPrefix },
  });
  if (!isIdPrefix(wanted)) throw missing;
  const found = (await listRuns(files)).filter(({ id }) => id.toLowerCase().startsWith(wanted));
  const [first, ...others] = found;
  if (first === undefined) throw missing;
  if (others.length > 0)
    throw new FenError("id_ambiguous", `${found.length} workflow runs have an id that begins with ${idOrPrefix}.`, {
      hint: `Write more of it: ${found
        .slice(0, 5)
        .map(({ id }) => id)
        .join(", ")}`,
    });
  return first;
}

/** A run within another can't be gone on with, or ended, alone. */
export function nestedRun(id: string, parent: string, hint: string): FenError {
  return new FenError("run_nested", `The run ${id} belongs to a step of the run ${parent}.`, {
    hint,
    facts: { run: id, parent },
  });
}
