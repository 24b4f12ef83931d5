/** What the killed leave: temporary files between writing and renaming, folders that were being removed. Nobody reads them; a clean-up removes them. */
import type { Files } from "../store/contract.ts";
import { versionNumber } from "./layout.ts";

const temporary = /^\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$/;

/** What a folder is called while it is removed, in its place; others where one that could not be removed has the first name. */
export function goneName(number: number): string {
  return number === 1 ? ".gone" : `.gone.${number}`;
}

const gone = /^\.gone(\.\d+)?$/;

/**
 * Only under the exclusive lock of the model whose folder it is, or of the datastore: nobody else writes data or records below `folder` then. Drafts of lock
 * records have other names: a waiter may own one. `remove`: instead of the files' own. Gives how much was in the folder.
 */
export async function removeLeftovers(
  files: Files,
  folder: string,
  remove: (path: string) => Promise<unknown> = (path) => files.remove(path),
): Promise<number> {
  const entries = await files.list(folder);
  for (const { name, kind } of entries) {
    const path = `${folder}/${name}`;
    if (kind === "file" && temporary.test(name)) await remove(path);
    if (kind !== "folder") continue;
    if (gone.test(name)) await remove(path);
    // A version in which nothing is: a power cut has brought back its name after it was removed.
    else if ((await removeLeftovers(files, path, remove)) === 0 && versionNumber(name) !== undefined)
      await remove(path);
  }
  return entries.length;
}
