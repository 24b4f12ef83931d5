import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { laterFlag, optimizeLater } from "./optimizer.ts";

test("the V8 that runs us knows the flag, and takes it", async () => {
  const [name = "", value] = (laterFlag(process.versions.v8) ?? "none").split("=");
  const options = execFileSync(process.execPath, ["--v8-options"], { encoding: "utf8" });
  const [, usual] = new RegExp(`^  ${name} .*\\n +type: \\w+ +default: ${name}=(\\d+)$`, "m").exec(options) ?? [];
  expect(Number(value)).toBe(4 * Number(usual));
  optimizeLater();
  optimizeLater();
  await sleep(150); // it would complain, or end the process
});

test("of a version that we don't know nothing is asked: it would complain", () => {
  expect(["9.4.146.26-node.26", "14.6.202.34-node.40", ""].map(laterFlag)).toEqual([undefined, undefined, undefined]);
});
