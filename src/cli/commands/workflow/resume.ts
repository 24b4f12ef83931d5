import type { UnknownChoice } from "../../../app/take-up.ts";
import { resumeWorkflow } from "../../../app/workflow-resume.ts";
import { FenError } from "../../../kernel/errors.ts";
import type { Flags, Handler } from "../../command.ts";
import type { Console } from "../../console.ts";
import { viewed } from "../../render/run-view/index.ts";
import { showRunEnd } from "../../render/workflow-run.ts";

export const handler: Handler = async (invocation) => {
  const { args, flags, console, json } = invocation;
  const [run = ""] = args;
  const resume = (unknown: UnknownChoice | undefined) => {
    const options = { run, failed: flags.on("failed"), unknown, concurrency: flags.number("concurrency") };
    return viewed(invocation, (context) => resumeWorkflow(context, options), { past: "silent" });
  };
  // A person is asked while nothing is locked.
  const document = await resume(choiceOf(flags)).catch(async (error: unknown) => {
    const needsChoice = error instanceof FenError && error.code === "resume_choice_needed";
    if (!needsChoice || json || flags.on("stream") || !console.isInteractive) throw error;
    return resume(await ask(console, error));
  });
  return {
    document,
    exitCode: document.status === "succeeded" ? 0 : 1,
    text: () => showRunEnd(document, console),
  };
};

function choiceOf(flags: Flags): UnknownChoice | undefined {
  const [retry, skip] = [flags.on("retry-unknown"), flags.on("skip-unknown")];
  if (retry && skip)
    throw new FenError("usage", "--retry-unknown and --skip-unknown can't both be given.", {
      hint: "Take one of them.",
    });
  return retry ? "retry" : skip ? "skip" : undefined;
}

async function ask(console: Console, error: FenError): Promise<UnknownChoice> {
  console.say(error.message);
  if (await console.confirm("Run them again?")) return "retry";
  if (await console.confirm("Leave them out and go on?")) return "skip";
  throw error;
}
