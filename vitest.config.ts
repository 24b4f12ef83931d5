import { defineConfig } from "vitest/config";

const project = (name: string, include: string[], testTimeout: number) => ({
  test: { name, include, testTimeout, hookTimeout: testTimeout },
});

export default defineConfig({
  test: {
    projects: [
      project("unit", ["src/**/*.test.ts"], 20_000),
      project("house", ["test/house/**/*.test.ts"], 30_000),
      project("conformance", ["test/conformance/**/*.test.ts"], 60_000),
      project("torture", ["test/torture/**/*.test.ts"], 600_000),
      project("mutants", ["test/mutants/**/*.test.ts"], 60_000),
      project("simulation", ["test/simulation/**/*.test.ts"], 180_000),
      project("e2e", ["test/e2e/**/*.test.ts"], 120_000),
    ],
    // Two cores: more at once only makes waits longer.
    maxWorkers: 2,
    maxConcurrency: 2,
  },
});
