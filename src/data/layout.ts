/** Where data, outputs and what is being made are, relative to the datastore. */
import { FenError } from "../kernel/errors.ts";
import { isSafeName } from "../kernel/paths.ts";

export interface ModelRef {
  readonly type: string;
  readonly id: string;
}

export function modelFolder(model: ModelRef): string {
  return `data/${model.type}/${model.id}`;
}

export function dataFolder(model: ModelRef, name: string): string {
  return `${modelFolder(model)}/${safeDataName(name)}`;
}

export function versionFolder(model: ModelRef, name: string, version: number): string {
  return `${dataFolder(model, name)}/${version}`;
}

/** The file that says which version is the newest. */
export function latestOf(model: ModelRef, name: string): string {
  return `${dataFolder(model, name)}/latest`;
}

export const stagingRoot = ".fen/staging";

export function stagingFolder(model: ModelRef): string {
  return `${stagingRoot}/${encodeURIComponent(`${model.type}/${model.id}`)}`;
}

/** The model that a name between slashes (as in `stagingFolder`) stands for; undefined for what isn't one. */
export function modelRefOf(name: string): ModelRef | undefined {
  let decoded: string;
  try {
    decoded = decodeURIComponent(name);
  } catch {
    return undefined; // nothing that we have encoded
  }
  const [, type, id] = /^(.+)\/([0-9a-f-]{36})$/i.exec(decoded) ?? [];
  return type === undefined || id === undefined ? undefined : { type, id };
}

/** The number of a version, as it stands in a path; undefined for what isn't one, or is so large that the next one can't be told from it. */
export function versionNumber(text: string): number | undefined {
  return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined;
}

/** What every common filesystem takes as the name of a folder. */
const maxNameBytes = 255;

export function isDataName(name: string): boolean {
  const fits = Buffer.byteLength(name) <= maxNameBytes;
  return fits && isSafeName(name) && !name.startsWith(".") && name !== "latest";
}

/** Throws `name_invalid` for a name that could lead out of its folder. */
export function safeDataName(name: string): string {
  if (isDataName(name)) return name;
  throw new FenError("name_invalid", `Data can't be called ${JSON.stringify(name.slice(0, 80))}.`, {
    hint: `A name must not hold "..", "/", "\\" or NUL, nor begin with a dot, nor be "latest" or longer than ${maxNameBytes} bytes.`,
  });
}
