/**
 * Shows the calls while they run: on a terminal as bars that grow in place, elsewhere as a line for each step.
 * The picture is never taller than the window and no line of it wraps, so moving up by its height always finds its first line.
 */
import type { Console } from "../console.ts";
import { LiveArea } from "../render/live-area.ts";
import { duration } from "../render/table.ts";
import type { Call } from "./calls.ts";
import { type Axis, clip, indent, row } from "./timeline.ts";

export interface Screen {
  /** A call has come to another state. */
  changed(call: Call): void;
  /** Called ten times a second. */
  tick(): void;
  /** Removes what should not stay. */
  close(): void;
}

export interface ScreenOptions {
  readonly calls: readonly Call[];
  /** About how long it will take: the width of the picture. */
  readonly expectedMs: number;
  now(): number;
}

/** `--json`: nothing is shown. */
export const noScreen: Screen = { changed: () => undefined, tick: () => undefined, close: () => undefined };

export function screenFor(console: Console, options: ScreenOptions): Screen {
  return console.isTerminal && process.env["TERM"] !== "dumb"
    ? new LiveScreen(console, options)
    : new LineScreen(console, options);
}

/** Who is, or was last, in the way. */
export function whom(call: Call, calls: readonly Call[]): string {
  const pid = call.blockedBy?.pid;
  return calls.find((one) => one.pid !== undefined && one.pid === pid)?.label ?? "another call";
}

function waitsFor(call: Call, calls: readonly Call[]): string {
  const { pid, place } = call.blockedBy ?? { pid: undefined, place: 1 };
  return `waits for ${whom(call, calls)}${pid === undefined ? "" : ` (pid ${pid})`}${place > 1 ? `, number ${place} in line` : ""}`;
}

class LineScreen implements Screen {
  readonly #console: Console;
  readonly #options: ScreenOptions;

  constructor(console: Console, options: ScreenOptions) {
    this.#console = console;
    this.#options = options;
  }

  changed(call: Call): void {
    if (call.state === "planned" || call.state === "starting") return;
    const { now, calls } = this.#options;
    const words = call.state === "waiting" ? waitsFor(call, calls) : wordOf(call);
    const time = `${(now() / 1000).toFixed(1)} s`.padStart(7);
    this.#console.out(`${time}  ${call.label.padEnd(indent - 3)}  ${words}`);
  }

  tick(): void {}
  close(): void {}
}

function wordOf(call: Call): string {
  return call.state === "running" ? "has its lock and works" : call.state;
}

class LiveScreen implements Screen {
  readonly #console: Console;
  readonly #options: ScreenOptions;
  readonly #area = new LiveArea(process.stdout);

  constructor(console: Console, options: ScreenOptions) {
    this.#console = console;
    this.#options = options;
  }

  changed(): void {}

  tick(): void {
    this.#area.paint(this.#lines());
  }

  close(): void {
    this.#area.close();
  }

  #lines(): string[] {
    const { calls, now, expectedMs } = this.#options;
    const { width, height } = this.#area;
    const axis: Axis = { now: now(), scale: Math.max(expectedMs, now()), bars: barsFor(width), width };
    const shown = choose(calls, height - 1);
    return [
      ...shown.map((call) => row(this.#console, call, { axis, note: this.#note(call) })),
      this.#console.bold(clip(this.#sum(calls.length - shown.length), width)),
    ];
  }

  #note(call: Call): string {
    const { now, calls } = this.#options;
    if (call.state === "waiting") return waitsFor(call, calls);
    if (call.state === "running") return `works, ${duration(now() - (call.grantedAt ?? now()))}`;
    return call.state === "failed" ? "failed" : "";
  }

  #sum(hidden: number): string {
    const { calls, now } = this.#options;
    const count = (state: Call["state"]) => calls.filter((call) => call.state === state).length;
    const parts = [
      `${count("done")} of ${calls.length} done`,
      `${count("running")} work`,
      `${count("waiting")} wait`,
      `${(now() / 1000).toFixed(1)} s`,
      ...(hidden > 0 ? [`${hidden} not shown: the window is low`] : []),
    ];
    return parts.join(", ");
  }
}

/** Half of the room is for bars, the other half for who waits for whom; in a narrow window there are only words. */
function barsFor(width: number): number {
  return width < 60 ? 0 : Math.floor((width - indent) * 0.55);
}

/** As many as there is room for: first those that contend, then the others; in the order of the plan. */
function choose(calls: readonly Call[], room: number): readonly Call[] {
  const first = [...calls.filter((call) => call.contends), ...calls.filter((call) => !call.contends)].slice(0, room);
  return calls.filter((call) => first.includes(call));
}
