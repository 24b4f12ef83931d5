/**
 * Random bytes from the system. Read from its device where there is one: the library that would do it takes 3 ms to load, and most commands need it for nothing
 * else than a name.
 */
import { closeSync, openSync, readSync } from "node:fs";

const device = "/dev/urandom";

export function randomBytes(length: number): Uint8Array {
  return fromDevice(length) ?? process.getBuiltinModule("node:crypto").randomBytes(length);
}

/** A random UUID (version 4). */
export function randomUuid(): string {
  const bytes = randomBytes(16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
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
