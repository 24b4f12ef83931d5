/** Temporary files of writers that were killed between writing and renaming. Nobody reads them; a clean-up removes them. */
import type { Files } from "../store/contract.ts";

const temporary = /^\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$/;

/** Only under the datastore's exclusive lock: nobody else writes data or records below `folder` then. Drafts of lock records have other names: a waiter may own one. */
export async function removeLeftovers(files: Files, folder: string): Promise<void> {
  for (const { name, kind } of await files.list(folder)) {
    if (kind === "folder") await removeLeftovers(files, `${folder}/${name}`);
    else if (kind === "file" && temporary.test(name)) await files.remove(`${folder}/${name}`);
  }
}
