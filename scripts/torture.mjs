// Locks on an object store, simulated by seed for some minutes: npm run torture -- --minutes 10 [--seed 1] [--runs 1]; --exhaustive runs the long searches.
// With --pauses N: until N holders were paused past the TTL just before their commit, or in it; what became of the commits is counted.
// With --workflows instead: runs of workflows, killed and resumed (scripts/torture-workflows.mjs).
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

if (process.argv.includes("--workflows")) await import("./torture-workflows.mjs");
else await simulate();

async function simulate() {
  const scratch = mkdtempSync(join(tmpdir(), "fen-torture-"));
  const file = join(scratch, "torture.mjs");
  try {
    await build({
      input: fileURLToPath(new URL("../test/simulation/torture.ts", import.meta.url)),
      platform: "node",
      output: { file, format: "esm" },
      logLevel: "warn",
    });
    const ran = spawnSync(process.execPath, ["--max-old-space-size=6000", file, ...process.argv.slice(2)], {
      stdio: "inherit",
    });
    process.exitCode = ran.status ?? 1;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
