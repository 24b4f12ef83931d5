/** What the killed leave: temporary files between writing and renaming, folders that were being removed. Nobody reads them; a clean-up removes them. */
import type { Files } from "../store/contract.ts";

const temporary = /^\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$/;

/** What a folder is called while it is removed, in its place: under the lock that this takes, one at a time is. */
export const goneName = ".gone";

/** Only under the datastore's exclusive lock: nobody else writes data or records below `folder` then. Drafts of lock records have other names: a waiter may own one. */
export async function removeLeftovers(files: Files, folder: string): Promise<void> {
  for (const { name, kind } of await files.list(folder)) {
    const path = `${folder}/${name}`;
    if (kind === "folder" && name !== goneName) await removeLeftovers(files, path);
    else if (kind === "folder" || (kind === "file" && temporary.test(name))) await files.remove(path);
  }
}
