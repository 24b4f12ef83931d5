/** `fen demo`: a fleet of twenty models, run at once by twenty processes, beside calls that contend for one model and one structural command. */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { initRepository } from "../../repo/repository.ts";
import { stringifyYaml } from "../../repo/yaml.ts";
import type { Machine } from "../../kernel/machine.ts";
import type { Handler } from "../command.ts";
import { type Call, planned, runCall } from "../demo/calls.ts";
import { Screen } from "../demo/screen.ts";
import { version } from "../main.ts";

const fleetSize = 20;
const contended = "web-07";

export const handler: Handler = async ({ context, console, flags, json }) => {
  const { machine, signal } = context;
  const folder = mkdtempSync(join(tmpdir(), "fen-demo-"));
  await initRepository(machine, folder, { force: false, version });
  const names = Array.from({ length: fleetSize }, (_, index) => `web-${String(index + 1).padStart(2, "0")}`);
  for (const [index, name] of names.entries()) writeModel(folder, machine, name, index, flags.on("fast"));
  const calls = plan(names);
  if (!json)
    console.out(
      `${console.bold(`${fleetSize} models`)} in ${folder}, run at once by ${fleetSize} processes; ${contended} is wanted four times; "data gc" wants everything for itself.\n`,
    );
  const start = machine.clock.monotonic();
  const now = () => machine.clock.monotonic() - start;
  const screen = new Screen(console, calls, now);
  const ticker = setInterval(() => (json ? undefined : screen.update()), 100);
  try {
    await Promise.all(
      calls.map(async (call) => {
        await machine.clock.sleep(call.startAt, signal);
        await runCall(call, { folder, signal, now, onChange: () => (json ? undefined : screen.update()) });
      }),
    );
  } finally {
    clearInterval(ticker);
  }
  signal.throwIfAborted();
  const failed = calls.filter((call) => call.state === "failed").length;
  const document = {
    path: folder,
    durationMs: Math.round(now()),
    failed,
    calls: calls.map(({ label, args, state, begunAt, grantedAt, endedAt }) => ({
      label,
      command: ["fen", ...args].join(" "),
      state,
      begunAtMs: Math.round(begunAt),
      grantedAtMs: Math.round(grantedAt ?? 0),
      endedAtMs: Math.round(endedAt ?? 0),
    })),
  };
  const next = [
    `cd ${folder}`,
    "fen model method history search",
    `fen data get ${contended} log`,
    `fen model method run ${contended} execute & fen datastore lock status`,
  ];
  return {
    document,
    exitCode: failed === 0 ? 0 : 1,
    text: () =>
      [screen.summary(), "", "The folder is yours to explore:", ...next.map((line) => `  ${console.cyan(line)}`)].join(
        "\n",
      ),
  };
};

function writeModel(folder: string, machine: Machine, name: string, index: number, fast: boolean): void {
  const seconds = fast ? 0.2 : [2.0, 1.2, 2.6, 1.6, 3.0][index % 5];
  const id = machine.random.uuid();
  const path = join(folder, "models/command/shell");
  mkdirSync(path, { recursive: true });
  const run = `echo "patching \${{ self.name }} in \${{ self.tags.site }}"; sleep ${name === contended && !fast ? 0.8 : seconds}; echo done`;
  const site = index % 2 === 0 ? "ams" : "fra";
  writeFileSync(
    join(path, `${id}.yaml`),
    stringifyYaml({
      type: "command/shell",
      id,
      name,
      version: 1,
      tags: { site },
      globalArguments: {},
      methods: { execute: { arguments: { run } } },
    }),
  );
}

function plan(names: readonly string[]): Call[] {
  const run = (name: string, label: string, startAt: number) =>
    planned(label, ["model", "method", "run", name, "execute"], startAt);
  return [
    ...names.map((name) => run(name, name, 0)),
    ...[2, 3, 4].map((turn) => run(contended, `${contended} again`, 300 + turn)),
    planned("data gc", ["data", "gc", "--force"], 2500),
    run("web-03", "web-03 later", 2900),
  ];
}
