/** Bundles a TypeScript program of the tests so that Node.js 20 can run it as a process of its own. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

/** The project's folder, also when this file was bundled itself. */
export const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/node_modules.*$/, "");

/** `entry` from the project's folder, without `.ts`. Gives the path of the bundle. */
export async function bundleProgram(entry: string): Promise<string> {
  // Beside the dependencies, so that the native library is found; several test files may do this at once.
  const folder = join(root, "node_modules/.cache/fen-test", `${process.pid}`);
  const bundle = await rolldown({
    input: { program: join(root, `${entry}.ts`) },
    platform: "node",
    external: [/^fs-native-extensions/, /^rolldown/],
    logLevel: "warn",
    transform: { target: "node20.18" },
  });
  const fileNames = `${entry.replaceAll("/", "-")}.mjs`;
  await bundle.write({ dir: folder, format: "esm", entryFileNames: fileNames });
  await bundle.close();
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return join(folder, fileNames);
}
