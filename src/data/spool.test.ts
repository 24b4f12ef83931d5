import { describe, expect, test } from "vitest";
import type { Appender } from "../store/contract.ts";
import { LazySpool } from "./spool.ts";

const many = Buffer.alloc(40_000, "x");

/** A file in memory, and how often it was made. */
function memoryFile(fails?: Error) {
  const file = { made: 0, text: "" };
  const appender: Appender = {
    get size() {
      return file.text.length;
    },
    append: (bytes) => void (file.text += typeof bytes === "string" ? bytes : new TextDecoder().decode(bytes)),
    sync: async () => undefined,
    close: async () => undefined,
  };
  const create = async () => {
    if (fails !== undefined) throw fails;
    file.made++;
    return appender;
  };
  async function* stream() {
    yield Buffer.from(file.text);
  }
  return { file, spool: new LazySpool({ create, stream }) };
}

async function contentOf(spool: LazySpool): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of spool.read()) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

describe("a spool", () => {
  test("makes no file for little", async () => {
    const { file, spool } = memoryFile();
    spool.append(Buffer.from("a"));
    spool.append(Buffer.from("b"));
    expect(await contentOf(spool)).toBe("ab");
    expect(spool.size).toBe(2);
    await spool.close();
    expect(file.made).toBe(0);
  });

  test("moves to one file what is much, in order, also what comes while the file is being made", async () => {
    const { file, spool } = memoryFile();
    spool.append(many);
    spool.append(many);
    spool.append(Buffer.from("1"));
    await new Promise((resolve) => setImmediate(resolve));
    spool.append(Buffer.from("2"));
    expect(await contentOf(spool)).toBe(`${"x".repeat(80_000)}12`);
    expect(spool.size).toBe(80_002);
    expect(file.made).toBe(1);
  });

  test("a file that can't be made stops the writer, and the reader", async () => {
    const { spool } = memoryFile(new Error("full"));
    spool.append(many);
    spool.append(many);
    await spool.close();
    expect(() => spool.append(many)).toThrow("full");
    await expect(contentOf(spool)).rejects.toThrow("full");
  });
});
