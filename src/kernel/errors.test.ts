import { expect, test } from "vitest";
import { FenError, storeError } from "./errors.ts";

const full = (): FenError =>
  storeError(Object.assign(new Error("no space"), { code: "ENOSPC" }), "the output record", "/data/x");

test("who knows nothing else says that the command is to be run again", () => {
  expect(full().hint).toBe(
    "Free some space (fen data gc --dry-run shows what old versions hold), then run the command again.",
  );
  expect(new FenError("store_unavailable", "No answer.", { next: "run the command again later." }).hint).toBe(
    "Run the command again later.",
  );
  expect(new FenError("internal", "A defect.").hint).toBeUndefined();
});

test("who knows more says what was kept and how to go on, however often the error is told", () => {
  const told = full()
    .retold({ hint: "What it produced is kept in /data/kept.", facts: { keptAside: "/data/kept" } })
    .retold({
      message: "The run stops.",
      next: "go on with the run: fen workflow resume 1234",
      facts: { run: "1234" },
    });
  expect(told).toMatchObject({
    code: "disk_full",
    message: "The run stops.",
    hint: "What it produced is kept in /data/kept. Free some space (fen data gc --dry-run shows what old versions hold), then go on with the run: fen workflow resume 1234",
    facts: { path: "/data/x", keptAside: "/data/kept", run: "1234" },
  });
});

test("an error whose advice says nothing of how to go on is told how to", () => {
  const refused = new FenError("store_refused", "The store refused.", { hint: "See the store's log." });
  expect(refused.retold({ next: "go on with the run: fen workflow resume 1234" }).hint).toBe(
    "See the store's log. Go on with the run: fen workflow resume 1234",
  );
});
