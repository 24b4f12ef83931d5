import { readdirSync, readFileSync } from "node:fs";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { isQuick } from "./test/support/quick.ts";

interface Project {
  readonly name: string;
  readonly include: string[];
  readonly exclude?: string[];
  readonly testTimeout: number;
  readonly hookTimeout: number;
  readonly globalSetup: string[];
}
const project = (
  name: string,
  include: string[],
  testTimeout: number,
  globalSetup: string[] = [],
): { test: Project } => ({
  test: { name, include, testTimeout, hookTimeout: testTimeout, globalSetup },
});
/** Its files load what they share once in each worker, which saves that a hundred times: they change nothing that others look at. */
const sharing = ({ test }: { readonly test: Project }) => ({ test: { ...test, isolate: false } });
/** What puts something else in the place of a module needs modules of its own. */
const units = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".test.ts"))
  .map((path) => `src/${path.replaceAll("\\", "/")}`);
const mocked = units.filter((path) => readFileSync(path, "utf8").includes("vi.mock("));
const unit = project("unit", ["src/**/*.test.ts"], 20_000);
/** What takes a minute and more comes first, the longest before the others: what comes last runs alone. */
const long = [
  "test/simulation/kernel-exhaustive.test.ts",
  "test/mutants/mutants.test.ts",
  "test/simulation/cas-exhaustive.test.ts",
  "test/simulation/simulation.test.ts",
  "test/s3/paused.test.ts",
  "test/s3/killed-workflows.test.ts",
  "test/s3/workflows.test.ts",
  "test/s3/failures.test.ts",
  "test/s3/migration.test.ts",
];
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => long.findIndex((path) => moduleId.endsWith(path));
    const rest = await super.sort(files.filter((file) => place(file) < 0));
    return [...files.filter((file) => place(file) >= 0).sort((a, b) => place(a) - place(b)), ...rest];
  }
}
const s3Server = ["test/support/s3-server.ts"];

export default defineConfig({
  test: {
    projects: [
      sharing({ test: { ...unit.test, exclude: mocked } }),
      project("mocked", mocked, 20_000),
      sharing(project("house", ["test/house/**/*.test.ts"], 30_000)),
      project("conformance", ["test/conformance/**/*.test.ts"], 60_000, s3Server),
      project("torture", ["test/torture/**/*.test.ts"], 600_000),
      project("mutants", ["test/mutants/**/*.test.ts"], 60_000),
      project("simulation", ["test/simulation/**/*.test.ts"], 300_000),
      sharing(project("e2e", ["test/e2e/**/*.test.ts"], 120_000)),
      project("alone", ["test/alone/**/*.test.ts"], 120_000),
      project("s3", ["test/s3/**/*.test.ts"], 120_000, s3Server),
    ],
    // Two cores: more at once only makes waits longer. (Of e2e and s3, which wait for processes, scripts/test.mjs runs three.)
    maxWorkers: 2,
    maxConcurrency: 2,
    sequence: { sequencer: LongFirst },
    // What hasn't changed since the last quick run needn't be translated again.
    experimental: { fsModuleCache: isQuick, fsModuleCachePath: "node_modules/.cache/fen-quick/modules" },
  },
});
