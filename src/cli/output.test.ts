import { beforeEach, describe, expect, test, vi } from "vitest";
import { Output } from "./output.ts";

const written = vi.hoisted(() => ({ tries: 0, error: undefined as NodeJS.ErrnoException | undefined }));

vi.mock("node:fs", async (original) => ({
  ...(await original<object>()),
  writeSync: (_fd: number, bytes: Uint8Array) => {
    written.tries++;
    if (written.error !== undefined) throw written.error;
    return bytes.length;
  },
}));

const systemError = (code: string) => Object.assign(new Error(code), { code });

beforeEach(() => Object.assign(written, { tries: 0, error: undefined }));

describe("a write that fails", () => {
  test("is the last where nobody reads any more: each costs much, and a command may print a million lines", () => {
    const output = new Output(1);
    written.error = systemError("EPIPE");
    for (let line = 0; line < 100; line++) output.write("a line\n");
    expect(written.tries).toBe(1);
    expect(output.failure).toBeUndefined();
  });

  test("is remembered, and tried again, where there is no room", () => {
    const output = new Output(1);
    written.error = systemError("ENOSPC");
    output.write("lost\n");
    const { error } = written;
    written.error = undefined;
    output.write("kept\n");
    expect(written.tries).toBe(2);
    expect(output.failure).toBe(error);
  });
});
