/** What the killed leave: temporary files between writing and renaming, folders that were being removed. Nobody reads them; a clean-up removes them. */
import type { Files } from "../store/contract.ts";

const temporary = /^\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$/;

/** What a folder is called while it is removed, in its place; others where one that could not be removed has the first name. */
export function goneName(number: number): string {
  return number === 1 ? ".gone" : `.gone.${number}`;
}

const gone = /^\.gone(\.\d+)?$/;

/**
 * Only under the exclusive lock of the model whose folder it is, or of the datastore: nobody else writes data or records below `folder` then. Drafts of lock
 * records have other names: a waiter may own one. `remove`: instead of the files' own.
 */
export async function removeLeftovers(
  files: Files,
  folder: string,
  remove: (path: string) => Promise<unknown> = (path) => files.remove(path),
): Promise<void> {
  for (const { name, kind } of await files.list(folder)) {
    const path = `${folder}/${name}`;
    if (kind === "folder" && !gone.test(name)) await removeLeftovers(files, path, remove);
    else if (kind === "folder" || (kind === "file" && temporary.test(name))) await remove(path);
  }
}
