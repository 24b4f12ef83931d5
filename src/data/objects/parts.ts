/** What versions in an object store are made of, and where their objects are. */
import type { Machine } from "../../kernel/machine.ts";
import type { LocalFiles } from "../../store/contract.ts";
import type { ObjectStore } from "../../store/objects.ts";
import type { VersionRef } from "../contract.ts";
import { versionFolder } from "../layout.ts";
import type { ContentCache } from "./content-cache.ts";
import type { Heads } from "./heads.ts";

export interface ObjectParts {
  readonly machine: Machine;
  readonly local: LocalFiles;
  readonly objects: ObjectStore;
  readonly heads: Heads;
  readonly cache: ContentCache;
}

export function folderOf({ model, name, number }: VersionRef): string {
  return versionFolder(model, name, number);
}

export function contentPath(version: VersionRef): string {
  return `${folderOf(version)}/raw`;
}
