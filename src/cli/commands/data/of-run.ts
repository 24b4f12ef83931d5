import type { RunChoice } from "../../../app/data-of-run.ts";
import { FenError } from "../../../kernel/errors.ts";
import type { Flags } from "../../command.ts";

/** What `--workflow` and `--run` say. Throws `usage` for a run without its workflow. */
export function runChoice(flags: Flags): RunChoice | undefined {
  const workflow = flags.text("workflow");
  const run = flags.text("run");
  if (workflow !== undefined) return { workflow, run };
  if (run === undefined) return undefined;
  throw new FenError("usage", "--run needs --workflow.", {
    hint: `Which workflow it is one of: fen workflow history get ${run}`,
  });
}
