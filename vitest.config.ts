import { readdirSync, readFileSync } from "node:fs";
import { defineConfig } from "vitest/config";

const project = (name: string, include: string[], testTimeout: number, globalSetup: string[] = []) => ({
  test: { name, include, testTimeout, hookTimeout: testTimeout, globalSetup },
});
/** What puts something else in the place of a module needs modules of its own. All others share theirs, which saves loading them a hundred times. */
const units = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".test.ts"))
  .map((path) => `src/${path.replaceAll("\\", "/")}`);
const mocked = units.filter((path) => readFileSync(path, "utf8").includes("vi.mock("));
const unit = project("unit", ["src/**/*.test.ts"], 20_000);
const s3Server = ["test/support/s3-server.ts"];

export default defineConfig({
  test: {
    projects: [
      { test: { ...unit.test, exclude: mocked, isolate: false } },
      project("mocked", mocked, 20_000),
      { test: { ...project("house", ["test/house/**/*.test.ts"], 30_000).test, isolate: false } },
      project("conformance", ["test/conformance/**/*.test.ts"], 60_000, s3Server),
      project("torture", ["test/torture/**/*.test.ts"], 600_000),
      project("mutants", ["test/mutants/**/*.test.ts"], 60_000),
      project("simulation", ["test/simulation/**/*.test.ts"], 300_000),
      project("e2e", ["test/e2e/**/*.test.ts"], 120_000),
      project("s3", ["test/s3/**/*.test.ts"], 120_000, s3Server),
    ],
    // Two cores: more at once only makes waits longer.
    maxWorkers: 2,
    maxConcurrency: 2,
  },
});
