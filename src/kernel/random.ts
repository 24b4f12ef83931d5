/**
 * Random bytes from the system. Read from its device where there is one: the library that would do it takes 3 ms to load, and most commands need it for nothing
 * else than a name.
 */
import { closeSync, openSync, readSync } from "node:fs";
import type { Random } from "./machine.ts";

const device = "/dev/urandom";
/** What is wanted often and little is fetched together. */
const portionBytes = 512;

/** As `randomBytes` and `randomUuid`. */
export function systemRandom(): Random {
  let portion = Buffer.alloc(0);
  const bytes = (length: number) => {
    if (length > portionBytes) return randomBytes(length);
    if (portion.length < length) portion = Buffer.from(randomBytes(portionBytes));
    const taken = portion.subarray(0, length);
    portion = portion.subarray(length);
    return taken;
  };
  return { bytes, uuid: () => randomUuid(bytes(16)) };
}

export function randomBytes(length: number): Uint8Array {
  return fromDevice(length) ?? process.getBuiltinModule("node:crypto").randomBytes(length);
}

/** A random UUID (version 4), made from 16 random bytes. */
export function randomUuid(bytes: Uint8Array = randomBytes(16)): string {
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** As `randomUuid`, without asking the system (three calls): for names that must differ, but may be guessed. */
export function likelyUuid(): string {
  return randomUuid(new Uint8Array(16).map(() => Math.random() * 256));
}

/** Undefined where the system has no such device, or it can't be opened. */
function fromDevice(length: number): Uint8Array | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(device, "r");
    const bytes = Buffer.alloc(length);
    return readSync(fd, bytes, 0, length, null) === length ? bytes : undefined;
  } catch {
    return undefined; // the library has its own ways
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
