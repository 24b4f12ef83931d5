import { expect, test } from "vitest";
import { isSyncedAsWhole, mountOf } from "./mounts.ts";

const isLinux = process.platform === "linux";

test.runIf(isLinux)("only of disks that say what went wrong everything is made durable at once", () => {
  for (const folder of ["/", "/dev/shm", "/proc"])
    expect(isSyncedAsWhole(folder)).toBe(["ext4", "xfs", "btrfs"].includes(mountOf(folder)?.type ?? ""));
  expect(isSyncedAsWhole("/proc")).toBe(false);
  expect(isSyncedAsWhole("/absent")).toBe(false);
});
