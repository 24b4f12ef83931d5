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

export const stagingRoot = ".fen/staging";

export function stagingFolder(model: ModelRef): string {
  return `${stagingRoot}/${encodeURIComponent(`${model.type}/${model.id}`)}`;
}

/** The model that a name between slashes (as in `stagingFolder`) stands for; undefined for what isn't one. */
export function modelRefOf(name: string): ModelRef | undefined {
  const [, type, id] = /^(.+)\/([0-9a-f-]{36})$/i.exec(decodeURIComponent(name)) ?? [];
  return type === undefined || id === undefined ? undefined : { type, id };
}

/** What every common filesystem takes as the name of a folder. */
const maxNameBytes = 255;

/** Throws `name_invalid` for a name that could lead out of its folder. */
export function safeDataName(name: string): string {
  const fits = Buffer.byteLength(name) <= maxNameBytes;
  if (fits && isSafeName(name) && !name.startsWith(".") && name !== "latest") return name;
  throw new FenError("name_invalid", `Data can't be called ${JSON.stringify(name.slice(0, 80))}.`, {
    hint: `A name must not hold "..", "/", "\\" or NUL, nor begin with a dot, nor be "latest" or longer than ${maxNameBytes} bytes.`,
  });
}
