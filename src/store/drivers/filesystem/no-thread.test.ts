/** Where the system gives no more threads, what a thread would do is done without. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { systemMachine } from "../../../kernel/machine.ts";
import { openFilesystemDatastore } from "./datastore.ts";

const thrown = vi.hoisted(() => ({ code: "" }));
vi.mock("node:worker_threads", async (original) => ({
  ...(await original<object>()),
  Worker: function Worker() {
    throw Object.assign(new Error("no thread"), thrown);
  },
}));

test("there is nobody to write files later; any other failure is told", () => {
  const root = mkdtempSync(join(tmpdir(), "fen-thread-"));
  try {
    const { local } = openFilesystemDatastore(root, systemMachine("fen"));
    thrown.code = "ERR_WORKER_INIT_FAILED";
    expect(local.later?.()).toBeUndefined();
    thrown.code = "ERR_WORKER_PATH";
    expect(() => local.later?.()).toThrow("no thread");
  } finally {
    rmSync(root, { recursive: true });
  }
});
