// Measures a datastore in S3 against the real server of the tests (scripts/ceph.mjs), direct and through 60 ms. Prints a table, writes
// bench/results/s3.json. One word narrows, and leaves the other rows of that file: node bench/s3.mjs handover.
//   --objects N        how many objects are in the large bucket (20,000). The long form: node bench/s3.mjs large --objects 1000000, a quarter of an hour
//                      and 15 GB of memory; it stops filling when less than 6 GB are left, and says how many objects there are then
//   --fill PREFIX      only fills, on the server that the environment names (scripts/ceph.mjs COMMAND), until --objects or --seconds N; goes on --from N
//   --filled PREFIX    measures there what was filled so before
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const root = fileURLToPath(new URL("..", import.meta.url));
// As deep as the sources, so that what they say of the project's folder is true.
const folder = join(root, "node_modules/.fen-bench-s3");
try {
  const bundle = await rolldown({
    input: join(root, "bench/s3-rows.ts"),
    platform: "node",
    external: [/^fs-native-extensions/],
    logLevel: "warn",
    transform: { target: "node20.18" },
  });
  await bundle.write({ dir: folder, format: "esm", entryFileNames: "rows.mjs" });
  await bundle.close();
  const args = [join(folder, "rows.mjs"), ...process.argv.slice(2)];
  const isThere = args.some((word) => word.startsWith("--fill")); // by the environment that scripts/ceph.mjs gives
  if (!isThere) args.unshift(join(root, "scripts/ceph.mjs"), process.execPath);
  process.exitCode = spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
