/** `LocalFiles.inOrder` by the other methods, one after the other. */
import { DiskSteps, type NumberStep } from "../kernel/disk-steps.ts";
import { FenError } from "../kernel/errors.ts";
import type { FileStep, LocalFiles, StepDone, StepsDone } from "./contract.ts";

type Doing = Pick<LocalFiles, "own" | "create" | "list" | "read" | "settle" | "adopt" | "write" | "stat" | "remove">;

/** Throws what isn't a failure of the files. */
export async function doInOrder(files: Doing, steps: readonly FileStep[]): Promise<StepsDone> {
  const done: StepDone[] = [];
  for (const step of steps) {
    try {
      done.push(await doStep(files, step));
    } catch (error) {
      if (!(error instanceof FenError)) throw error;
      return { done, failure: error };
    }
    const { outcome } = done.at(-1) ?? {};
    if (outcome !== undefined && outcome !== "adopted") break;
  }
  return { done };
}

async function doStep(files: Doing, step: FileStep): Promise<StepDone> {
  switch (step.do) {
    case "own":
      return { owned: await files.own(step.path) };
    case "create":
      return create(files, step.path, step.content, step.from);
    case "number": {
      const number = await nextNumber(files, step);
      await create(files, step.path, `${step.around[0]}${number}${step.around[1]}`);
      return { number };
    }
    case "settle":
      await files.settle(step.path, step.files);
      return {};
    case "adopt":
      return { outcome: await files.adopt(step.from, step.to, { durable: step.durable }) };
    case "write":
      await files.write(step.path, step.text, { durable: false });
      return {};
    case "stat":
      return { isThere: (await files.stat(step.path)) !== undefined };
    case "remove":
      await files.remove(step.path);
      return {};
  }
}

async function create(files: Doing, path: string, content: Uint8Array | string, from?: string): Promise<StepDone> {
  const file = await files.create(path, { from });
  try {
    file.append(content);
  } finally {
    await file.close({ durable: false });
  }
  return {};
}

async function nextNumber(files: Doing, { folder, known }: NumberStep): Promise<number> {
  if (known !== undefined && (await saidNumber(files, known.file)) === known.number) return known.number + 1;
  return (await highestNumber(files, folder)) + 1;
}

/** The highest number that something in a folder is called; 0 where there is none. */
export async function highestNumber(files: Pick<Doing, "list">, folder: string): Promise<number> {
  return DiskSteps.highest((await files.list(folder)).map(({ name }) => name));
}

/** What a small file says; not a number where it says none, or is no file. */
export async function saidNumber(files: Pick<Doing, "read">, path: string): Promise<number> {
  const said = await files.read(path, { maxBytes: 64 }).catch(() => undefined);
  return said === undefined ? Number.NaN : Number(new TextDecoder().decode(said).trim());
}
