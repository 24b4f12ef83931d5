/** Shows a run while it goes on: on a terminal as a picture in place, elsewhere as a line for each thing that happens. On stderr: stdout is for data. */
import type { AppContext, AppEvent } from "../../../app/context.ts";
import type { Clock } from "../../../kernel/machine.ts";
import type { Invocation } from "../../command.ts";
import type { Console } from "../../console.ts";
import { isTerminal } from "../../output.ts";
import { eventPrinter, warning } from "../events.ts";
import { LiveArea } from "../live-area.ts";
import { KnownRun } from "./known.ts";
import { type LineOptions, RunLines } from "./lines.ts";
import { picture } from "./picture.ts";

interface RunView {
  /** What the use case emits. */
  event(this: void, event: AppEvent): void;
  /** Takes away what should not stay. Idempotent. */
  finish(): void;
}

/**
 * Does work on a run with a view of it, unless JSON is wanted; the view is gone when it has ended, so that what is said then stays.
 * `past`: whether lines tell what had happened before.
 */
export async function viewed<T>(
  { context, console, flags, json }: Invocation,
  work: (context: AppContext) => Promise<T>,
  options: { readonly past: "told" | "silent" } = { past: "told" },
): Promise<T> {
  if (json) return work(context);
  const { clock } = context.machine;
  const from = options.past === "told" ? -Infinity : clock.now();
  // Made when there is something to show: by then the repository has said whether it wants to be quiet.
  let view: RunView | undefined;
  const emit: AppContext["emit"] = (event) => {
    view ??= runViewFor(console, clock, { verbose: flags.on("verbose"), from });
    view.event(event);
  };
  try {
    return await work({ ...context, emit });
  } finally {
    view?.finish();
  }
}

/** Twelve a second. */
const frameMs = 80;

function runViewFor(console: Console, clock: Clock, options: LineOptions): RunView {
  if (isTerminal(2) && process.env["TERM"] !== "dumb" && !console.isQuiet) return liveView(console, clock);
  const lines = new RunLines(console, options);
  const others = eventPrinter(console, "text", () => options.verbose);
  return {
    event: (event) => {
      lines.note(event);
      others(event);
    },
    finish: () => undefined,
  };
}

function liveView(console: Console, clock: Clock): RunView {
  const known = new KnownRun();
  const area = new LiveArea(process.stderr);
  let isOpen = true;
  const paint = () => area.paint(picture(known, console, { width: area.width, height: area.height, now: clock.now() }));
  const timer = clock.every(frameMs, paint);
  return {
    event: (event) => {
      known.note(event);
      if (event.event === "warning") area.print(warning(console, event));
    },
    finish: () => {
      if (!isOpen) return;
      isOpen = false;
      timer[Symbol.dispose]();
      area.close();
    },
  };
}
