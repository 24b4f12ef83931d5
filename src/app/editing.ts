/** What making and editing files that people write has in common, whether they are models or workflows. */
import { FenError } from "../kernel/errors.ts";
import type { Problem } from "../repo/findings.ts";
import { editYaml, isRecord, parseYaml } from "../repo/yaml.ts";
import { claimFile } from "../store/drivers/filesystem/claim-file.ts";
import type { AppContext } from "./context.ts";
import type { Workspace } from "./workspace.ts";

export interface EditSource {
  /** The whole new text, or undefined to let `edit` change a copy of the file. */
  readonly text: string | undefined;
  readonly editor: string;
  edit(text: string): Promise<string>;
}

/** Waits as long as the command may wait for a lock. */
export function claimName(context: AppContext, name: string, path: string): Promise<{ release(): void }> {
  const { machine, lockTimeoutMs: timeoutMs, signal } = context;
  return claimFile(machine, path, { what: `The name ${name}`, timeoutMs, signal });
}

const leastWaitMs = 2000;

/** While it is ours nobody else changes or deletes the workflow, or begins or takes up a run of it. Claimed as names are, and never a name: those hold no slash. */
export function claimWorkflow(
  context: AppContext,
  { workflows }: Workspace,
  { id, name }: { readonly id: string; readonly name: string },
): Promise<{ release(): void }> {
  const { machine, signal } = context;
  // Also who wants to wait for no lock waits for this: it lasts milliseconds.
  const timeoutMs = context.lockTimeoutMs === undefined ? undefined : Math.max(context.lockTimeoutMs, leastWaitMs);
  return claimFile(machine, workflows.claimPath(`id/${id}`), { what: `The workflow ${name}`, timeoutMs, signal });
}

/** A map without an id gets the one that the file has; everything else is left to the checks. Throws `yaml_invalid`. */
export async function keepIdentity(
  text: string,
  { file, id }: { readonly file: string; readonly id: string },
): Promise<string> {
  const value = parseYaml(text, file);
  if (!isRecord(value) || Object.hasOwn(value, "id")) return text;
  return editYaml(text, [{ op: "set", path: ["id"], value: id }]);
}

/** Throws `name_invalid`. What is there already may be called otherwise. */
export function refuseNewName(what: "model" | "workflow", name: string): void {
  if (!/^[a-z0-9][a-z0-9_-]{0,63}$/.test(name))
    throw new FenError("name_invalid", `A new ${what} can't be called ${JSON.stringify(name.slice(0, 80))}.`, {
      hint: "Use lowercase letters, digits, - and _, at most 64, beginning with a letter or digit.",
    });
}

export interface Validation {
  readonly name: string;
  readonly passed: boolean;
  readonly error?: string;
}

/** A check that passed if it found nothing. */
export function validation(name: string, errors: readonly string[]): Validation {
  return errors.length === 0 ? { name, passed: true } : { name, passed: false, error: errors.join("\n") };
}

/** Of many: how many passed. */
export function totals(all: readonly { readonly passed: boolean }[]): {
  readonly totalPassed: number;
  readonly totalFailed: number;
  readonly passed: boolean;
} {
  const totalPassed = all.filter((one) => one.passed).length;
  return { totalPassed, totalFailed: all.length - totalPassed, passed: totalPassed === all.length };
}

/** Problems that don't keep the command from doing its work. */
export function warnOf(context: AppContext, problems: readonly Problem[]): void {
  for (const { file, line, message, hint } of problems) {
    const place = line === undefined || message.startsWith(file) ? "" : `${file}:${line}: `;
    context.emit({ event: "warning", message: `${place}${message}`, ...(hint === undefined ? {} : { hint }) });
  }
}
