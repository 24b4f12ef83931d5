/** `fen demo`: a fleet of twenty models, run at once by twenty processes, beside calls that contend for one model and one structural command. */
import { asError, FenError } from "../../kernel/errors.ts";
import { calledAs, shellQuote } from "../called.ts";
import type { Handler } from "../command.ts";
import type { Console } from "../console.ts";
import { type Call, runCall } from "../demo/calls.ts";
import { childEnv, contended, fleetSize, makeFleet, planCalls, slow } from "../demo/plan.ts";
import { noScreen, screenFor, whom } from "../demo/screen.ts";
import { type Axis, comparison, indent, legend, row, wrap } from "../demo/timeline.ts";
import { version } from "../main.ts";
import { duration } from "../render/table.ts";

export const handler: Handler = async ({ context, console, flags, json }) => {
  const { machine, signal } = context;
  const fast = flags.on("fast");
  const folder = await makeFleet(machine, { fast, version });
  const calls = planCalls({ fast });
  const start = machine.clock.monotonic();
  const now = () => machine.clock.monotonic() - start;
  if (!json) console.out(`${headline(console, folder)}\n`);
  const screen = json ? noScreen : screenFor(console, { calls, now, expectedMs: fast ? 2500 : 7000 });
  const ticker = machine.clock.every(100, () => screen.tick());
  const env = childEnv(machine.host.env);
  const onChange = (call: Call) => screen.changed(call);
  const runs = calls.map(async (call) => {
    await machine.clock.sleep(call.startAt, signal);
    await runCall(call, { folder, env, signal, now, onChange });
  });
  // All of them, also when the signal fires: no child outlives the demo.
  await Promise.allSettled(runs);
  ticker[Symbol.dispose]();
  screen.close();
  if (signal.aborted) throw stopped(signal.reason, folder);
  const document = describe(calls, { folder, durationMs: now(), env: machine.host.env });
  return {
    document,
    exitCode: document.failed === 0 ? 0 : 1,
    text: () => [...summary(console, calls, document), "", ...outlook(console, document)].join("\n"),
  };
};

function stopped(reason: unknown, folder: string): FenError {
  const facts = reason instanceof FenError ? reason.facts : {};
  return new FenError(
    "interrupted",
    `The demo was stopped: ${asError(reason).message} All that it started has ended.`,
    {
      hint: `What it did until then is in ${folder}`,
      facts: { ...facts, path: folder },
    },
  );
}

interface DemoResult {
  readonly path: string;
  readonly durationMs: number;
  /** The sum of the times that the calls worked: what they would have taken one after another, without any overhead. */
  readonly globalLockMs: number;
  readonly failed: number;
  readonly calls: readonly {
    readonly label: string;
    readonly command: string;
    readonly state: string;
    readonly begunAtMs: number;
    readonly grantedAtMs: number;
    readonly endedAtMs: number;
  }[];
  readonly next: readonly { readonly about: string; readonly command: string }[];
}

type Env = Readonly<Record<string, string | undefined>>;

function describe(
  calls: readonly Call[],
  options: { readonly folder: string; readonly durationMs: number; readonly env: Env },
): DemoResult {
  const { folder, durationMs, env } = options;
  return {
    path: folder,
    durationMs: Math.round(durationMs),
    globalLockMs: Math.round(calls.reduce((sum, call) => sum + workOf(call), 0)),
    failed: calls.filter((call) => call.state === "failed").length,
    calls: calls.map(({ label, args, state, begunAt, grantedAt, endedAt }) => ({
      label,
      command: ["fen", ...args].join(" "),
      state,
      begunAtMs: Math.round(begunAt),
      grantedAtMs: Math.round(grantedAt ?? 0),
      endedAtMs: Math.round(endedAt ?? 0),
    })),
    next: nextCommands(folder, env),
  };
}

/** Only the work: starting a process, taking a lock and ending are left out. */
function workOf(call: Call): number {
  return call.workMs ?? (call.endedAt ?? 0) - (call.grantedAt ?? call.endedAt ?? 0);
}

/** They name the folder, so that they work wherever they are pasted. */
function nextCommands(folder: string, env: Env): DemoResult["next"] {
  const elsewhere = (env["SWAMP_DATASTORE"] ?? "") === "" ? "" : "env -u SWAMP_DATASTORE ";
  const fen = `${elsewhere}${calledAs({ path: process.argv[1] ?? "fen", env })}`;
  const here = `--repo-dir ${shellQuote(folder)}`;
  return [
    { about: "Every run, newest first", command: `${fen} model method history search ${here}` },
    { about: `What ${contended} said last`, command: `${fen} data get ${contended} log ${here}` },
    {
      about: "Who holds which lock while a model works",
      command: `${fen} model method run ${slow} execute ${here} & sleep 1.5; ${fen} datastore lock status ${here}; wait`,
    },
  ];
}

function headline(console: Console, folder: string): string {
  return [
    `${console.bold(`${fleetSize} models`)} in ${folder}: ${fleetSize} processes run them at once.`,
    `${contended} is wanted four times; data gc wants all of them for itself.`,
  ]
    .map((sentence) => wrap(sentence, console.width))
    .join("\n");
}

function summary(console: Console, calls: readonly Call[], document: DemoResult): string[] {
  const width = Math.min(console.width - 1, 110);
  const bars = Math.max(0, width - indent - (width >= 90 ? 34 : 0));
  const axis: Axis = { now: document.durationMs, scale: document.durationMs, bars: bars < 4 ? 0 : bars, width };
  const note = (call: Call) => {
    if (call.state === "failed") return firstLine(call.problem);
    const waitedMs = (call.grantedAt ?? 0) - (call.waitingSince ?? call.grantedAt ?? 0);
    return call.blockedBy === undefined ? "" : `waited ${duration(waitedMs)}, last for ${whom(call, calls)}`;
  };
  const { durationMs: tookMs, globalLockMs: globalMs } = document;
  return [
    ...calls.map((call) => row(console, call, { axis, note: note(call) })),
    ...legend(console, axis),
    "",
    ...comparison(console, { tookMs, globalMs, width }),
    wrap(
      `The same work under one global lock, one call after another, takes ${(globalMs / tookMs).toFixed(1)} times as long.`,
      console.width,
    ),
  ];
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}

function outlook(console: Console, document: DemoResult): string[] {
  return [
    ...(document.failed === 0 ? [] : [console.red(`${document.failed} calls failed.`), ""]),
    `The folder stays: ${document.path}`,
    "Three commands to try next:",
    ...document.next.flatMap(({ about, command }) => ["", `  ${console.dim(about)}`, `  ${console.cyan(command)}`]),
  ];
}
