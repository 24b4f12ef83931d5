/** What the demo runs: a fleet of models in a scratch folder, and the calls on it. */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Machine } from "../../kernel/machine.ts";
import { initRepository } from "../../repo/repository.ts";
import { stringifyYaml } from "../../repo/yaml.ts";
import { FenError } from "../../kernel/errors.ts";
import { type Call, planned } from "./calls.ts";

export const fleetSize = 20;
/** The model that is wanted four times. */
export const contended = "web-07";
/** The model that is wanted again while `data gc` waits. */
const late = "web-03";
/** The model that works longest. */
export const slow = "web-05";

const names = Array.from({ length: fleetSize }, (_, index) => `web-${String(index + 1).padStart(2, "0")}`);
const seconds = [2, 1.2, 2.6, 1.6, 3];

/** Makes the repository with the fleet in a new folder, and gives its path. */
export async function makeFleet(
  machine: Machine,
  options: { readonly fast: boolean; readonly version: string },
): Promise<string> {
  const folder = scratchFolder();
  await initRepository(machine, folder, { force: false, version: options.version });
  mkdirSync(join(folder, "models/command/shell"), { recursive: true });
  for (const [index, name] of names.entries()) {
    const sleep = options.fast ? 0.2 : name === contended ? 0.5 : (seconds[index % seconds.length] ?? 1);
    writeModel(folder, { id: machine.random.uuid(), name, site: index % 2 === 0 ? "ams" : "fra", sleep });
  }
  return folder;
}

function scratchFolder(): string {
  try {
    return mkdtempSync(join(tmpdir(), "fen-demo-"));
  } catch (cause) {
    throw new FenError("not_writable", `The demo can't make a folder in ${tmpdir()}.`, {
      hint: "Say where it may: TMPDIR=<folder> fen demo",
      cause,
    });
  }
}

function writeModel(folder: string, model: { id: string; name: string; site: string; sleep: number }): void {
  const { id, name, site, sleep } = model;
  const run = `echo "patching \${{ self.name }} in \${{ self.tags.site }}"; sleep ${sleep}; echo done`;
  const definition = {
    type: "command/shell",
    id,
    name,
    version: 1,
    tags: { site },
    globalArguments: {},
    methods: { execute: { arguments: { run } } },
  };
  writeFileSync(join(folder, "models/command/shell", `${id}.yaml`), stringifyYaml(definition));
}

/** Twenty calls at once, three more on one model, then a structural command and a call that comes after it. */
export function planCalls(options: { readonly fast: boolean }): Call[] {
  const pace = options.fast ? 0.25 : 1;
  const run = (name: string, label: string, startAt: number) =>
    planned({
      label,
      args: ["model", "method", "run", name, "execute"],
      startAt: startAt * pace,
      contends: label !== name || name === contended,
    });
  return [
    ...names.map((name) => run(name, name, 0)),
    ...["2nd", "3rd", "4th"].map((turn, index) => run(contended, `${contended} ${turn}`, 300 + 150 * index)),
    planned({ label: "data gc", args: ["data", "gc", "--force"], startAt: 2500 * pace, contends: true }),
    run(late, `${late} 2nd`, 2900),
  ];
}

/** What children get: nothing that leads them out of the demo's folder, or makes them give up waiting. */
export function childEnv(env: Readonly<Record<string, string | undefined>>): Record<string, string | undefined> {
  return { ...env, SWAMP_REPO_DIR: "", SWAMP_DATASTORE: "", SWAMP_LOCK_TIMEOUT_MS: "" };
}
