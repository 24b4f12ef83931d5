/** Steps that the thread for the disk carries out: one message for all of them. */
import { dirname } from "node:path";
import { type DiskStep, type DiskStepDone, unsure } from "../../../kernel/disk-steps.ts";
import type { DiskThread } from "../../../kernel/disk-thread.ts";
import { asError, storeError, systemErrorCode } from "../../../kernel/errors.ts";
import { asidePath } from "../../../kernel/files.ts";
import { inFolder, resolveInside } from "../../../kernel/paths.ts";
import type { FileStep, Owned, StepDone, StepsDone } from "../../contract.ts";

/** What the driver itself knows. */
interface Known {
  /** A file of ours that tells that we live, absolute. */
  readonly living: string | undefined;
  /** Of the folders above a folder those whose names aren't all durable yet, as far as it has made them. */
  unsettledAbove(path: string): readonly string[];
}

interface DoneElsewhere extends StepsDone {
  /** True where the next step is better done here. */
  readonly isUnsure: boolean;
  /** Folders that were made for what was adopted, one in the other. */
  readonly made: readonly { readonly first: string; readonly last: string }[];
}

/** It lives as long as the file that it is another name of. */
const sameLife: Owned = { letGo: () => undefined };

export class StepsElsewhere {
  readonly #thread: DiskThread;
  readonly #root: string;

  constructor(thread: DiskThread, root: string) {
    this.#thread = thread;
    this.#root = root;
  }

  /** Undefined where that can't be: nothing was done. */
  async carryOut(steps: readonly FileStep[], known: Known): Promise<DoneElsewhere | undefined> {
    const asked = steps.map((step) => this.#asked(step, known));
    if (this.#thread.hasEnded || !asked.every((step) => step !== undefined)) return undefined;
    const { done: there, failure } = await this.#thread
      .carryOut(this.#root, asked)
      .catch((error: unknown) => ({ done: [], failure: asError(error) })); // it ended meanwhile: nobody knows how far it came
    const done = there.map((one, index) => doneOf(one, steps[index]));
    const made = there.flatMap(({ made: first }, index) =>
      first === undefined ? [] : [{ first, last: dirname(asked[index]?.path ?? "") }],
    );
    const isUnsure = failure !== undefined && systemErrorCode(failure) === unsure;
    if (failure === undefined || isUnsure) return { done, made, isUnsure };
    const { path = this.#root } = failure as { path?: string };
    return { done, made, isUnsure, failure: storeError(failure, "the file", path) };
  }

  /** Makes them durable, and the names of folders above `path` that the thread has made. Throws as the system does. */
  async settle(path: string, paths: Iterable<string>): Promise<void> {
    const all = [...paths];
    const { failure } = await this.#thread.carryOut(this.#root, [{ do: "sync", path, paths: all }]);
    if (failure === undefined) return;
    if (systemErrorCode(failure) !== unsure) throw failure;
    await this.#thread.sync(all); // behind a link the thread has made nothing
  }

  #asked(step: FileStep, { living, unsettledAbove }: Known): DiskStep | undefined {
    switch (step.do) {
      case "own":
        return living === undefined ? undefined : { do: "link", from: living, path: this.#full(step.path) };
      case "create":
        return { do: "create", path: this.#full(step.path), content: step.content };
      case "number": {
        const { around, known } = step;
        return {
          do: "number",
          path: this.#full(step.path),
          folder: this.#full(step.folder),
          around,
          known: known === undefined ? undefined : { file: this.#full(known.file), number: known.number },
        };
      }
      case "settle": {
        const path = this.#full(step.path);
        return { do: "sync", path, paths: [...unsettledAbove(path), ...withFolders(path, step.files)] };
      }
      case "adopt":
        return { do: "adopt", from: this.#full(step.from), path: this.#full(step.to), durable: step.durable };
      case "write": {
        const path = this.#full(step.path);
        return { do: "write", path, aside: asidePath(path), text: step.text };
      }
      case "stat":
      case "remove":
        return { do: step.do, path: this.#full(step.path) };
    }
  }

  #full(path: string): string {
    return resolveInside(this.#root, path);
  }
}

/** Files in a folder, that folder, and those between. */
export function withFolders(folder: string, files: readonly string[]): Set<string> {
  const all = new Set([folder]);
  for (const file of files)
    for (let path = inFolder(folder, file); path.length > folder.length; path = dirname(path)) all.add(path);
  return all;
}

function doneOf({ number, outcome, isThere }: DiskStepDone, step: FileStep | undefined): StepDone {
  if (step?.do === "own") return { owned: sameLife };
  return {
    ...(number === undefined ? {} : { number }),
    ...(outcome === undefined ? {} : { outcome }),
    ...(isThere === undefined ? {} : { isThere }),
  };
}
