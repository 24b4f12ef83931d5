import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { WholeDisks } from "./whole-disks.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fen-disks-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A `syncfs` that answers so. */
function answering(...results: number[]) {
  const asked: number[] = [];
  const async = (...[fd, done]: readonly unknown[]) => {
    asked.push(Number(fd));
    (done as (error: null, result: number) => void)(null, results.shift() ?? 0);
  };
  return { asked, library: { functions: { syncfs: Object.assign(() => 0, { async }) } } };
}

test.runIf(process.platform === "linux")("asks the system itself", async () => {
  const disks = WholeDisks.load(() => true);
  expect(disks?.add(folder)).toBe(true);
  writeFileSync(join(folder, "file"), "text");
  expect(await disks?.sync()).toBe(true);
});

test.runIf(process.platform === "linux")("not of a kernel that keeps failures to itself", () => {
  expect(WholeDisks.load(() => true, "4.19.0-27-amd64")).toBeUndefined();
  expect(WholeDisks.load(() => true, "5.7.19")).toBeUndefined();
  expect(WholeDisks.load(() => true, "5.8.0-rc1")).toBeDefined();
  expect(WholeDisks.load(() => true, "10.0")).toBeDefined();
});

test("each disk is asked once, however many folders of it there are", async () => {
  const { asked, library } = answering();
  const disks = new WholeDisks(library, () => true);
  mkdirSync(join(folder, "other"));
  for (const path of [folder, join(folder, "other"), folder]) expect(disks.add(path)).toBe(true);
  expect(await disks.sync()).toBe(true);
  expect(asked).toHaveLength(1);
});

test.runIf(process.platform === "linux")("and every disk is asked", async () => {
  const { asked, library } = answering(0, -1);
  const disks = new WholeDisks(library, () => true);
  expect(disks.add(folder) && disks.add("/proc")).toBe(true);
  expect(await disks.sync()).toBe(false);
  expect(new Set(asked).size).toBe(2);
});

test("a call that can't be made has failed", async () => {
  const async = (...[, done]: readonly unknown[]) => (done as (error: Error) => void)(new Error("no thread"));
  const disks = new WholeDisks({ functions: { syncfs: Object.assign(() => 0, { async }) } }, () => true);
  disks.add(folder);
  expect(await disks.sync()).toBe(false);
});

test("a failure is told, and from then on nothing is known any more", async () => {
  const { asked, library } = answering(-1);
  const disks = new WholeDisks(library, () => true);
  disks.add(folder);
  expect(await disks.sync()).toBe(false);
  expect(await disks.sync()).toBe(false);
  expect(disks.add(folder)).toBe(false);
  expect(asked).toHaveLength(1);
});

test("a folder that isn't there yet will be on the disk of the one in which it is made", async () => {
  const { asked, library } = answering();
  const trusting = vi.fn(() => true);
  const disks = new WholeDisks(library, trusting);
  expect(disks.add(join(folder, "not/yet"))).toBe(true);
  expect(trusting.mock.calls).toEqual([[folder]]);
  expect(await disks.sync()).toBe(true);
  expect(asked).toHaveLength(1);
});

test("one folder that isn't on such a disk is enough for that", async () => {
  const { asked, library } = answering();
  mkdirSync(join(folder, "mounted"));
  const disks = new WholeDisks(library, (path) => path === folder);
  expect(disks.add(folder)).toBe(true);
  expect(disks.add(join(folder, "mounted"))).toBe(false);
  expect(await disks.sync()).toBe(false);
  expect(asked).toEqual([]);
});
