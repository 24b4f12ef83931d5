/** How the filesystem of a folder is mounted, as Linux tells it. */
import { readFileSync, realpathSync } from "node:fs";

export interface Mount {
  readonly type: string;
  readonly options: string;
  /** Locks taken there aren't seen by other machines that have the same files. */
  readonly locksAreLocal: boolean;
  /** Surely on a disk of this machine, which sets the times of its files by its own clock. */
  readonly isOwnDisk: boolean;
}

/** Whether `syncfs(2)` makes everything durable there, and says so where it can't: others pass it on to a filesystem below, whose failures it doesn't tell. */
export function isSyncedAsWhole(folder: string): boolean {
  return /^(ext4|xfs|btrfs)$/.test(mountOf(folder)?.type ?? "");
}

const ownDisks = /^(ext[234]|xfs|btrfs|f2fs|zfs|bcachefs|overlay|tmpfs)$/;

/** Undefined where the system doesn't tell. */
export function mountOf(folder: string): Mount | undefined {
  let lines: string[];
  let path: string;
  try {
    path = realpathSync.native(folder);
    lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  } catch {
    return undefined; // not Linux: the trial with two processes is all that can be done
  }
  let best: { readonly point: string; readonly mount: Mount } | undefined;
  for (const line of lines) {
    const [before = "", after = ""] = line.split(" - ");
    const point = unescape(before.split(" ")[4] ?? "");
    const isInside = point === "/" || path === point || path.startsWith(`${point}/`);
    // A later line hides an earlier one of the same place.
    if (isInside && point !== "" && (best === undefined || point.length >= best.point.length))
      best = { point, mount: parse(after) };
  }
  return best?.mount;
}

function parse(after: string): Mount {
  const [type = "", , options = ""] = after.split(" ");
  const has = (option: string) => options.split(",").includes(option);
  const nfs = type.startsWith("nfs") && (has("nolock") || has("local_lock=all") || has("local_lock=posix"));
  const smb = /^(cifs|smb3)$/.test(type) && (has("nobrl") || has("nolock"));
  return { type, options, locksAreLocal: nfs || smb, isOwnDisk: ownDisks.test(type) };
}

/** Spaces and the like are written as octal numbers. */
function unescape(text: string): string {
  return text.replaceAll(/\\(\d{3})/g, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8)));
}
