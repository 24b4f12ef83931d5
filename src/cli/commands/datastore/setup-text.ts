/** What `datastore setup` has in common, wherever the datastore is set up. */
import type { DatastoreSetupResult, MigrationOptions } from "../../../app/datastore-setup.ts";
import type { Invocation } from "../../command.ts";
import { size } from "../../render/table.ts";

export function migrationFlags(flags: Invocation["flags"]): MigrationOptions {
  return { dryRun: flags.on("dry-run"), skipMigration: flags.on("skip-migration") };
}

export function setupText(console: Invocation["console"], document: DatastoreSetupResult): string {
  const { dryRun, path, filesCopied = 0, bytesCopied = 0, filesThere = 0 } = document;
  const there = filesThere === 0 ? "" : `; ${filesThere} are there already`;
  const files = `${filesCopied} files (${size(bytesCopied)})`;
  if (dryRun === true) return `The datastore would be ${path}. ${files} would be copied${there}.`;
  const copied = filesCopied + filesThere === 0 ? "" : ` ${files} were copied${there}; the old place is as it was.`;
  return `${console.green("set up")}  The datastore is ${path} now.${copied}`;
}
