import { describe, expect, test } from "vitest";
import type { Appender } from "../store/contract.ts";
import type { JournalEntry } from "./entries.ts";
import { Journal } from "./journal.ts";

const line = (n: number): JournalEntry => ({ e: "end", at: n, n, s: "succeeded" });

/** A file whose syncs end when the test says so. */
class SlowFile implements Appender {
  text = "";
  syncs = 0;
  durable = "";
  closed: unknown;
  #end: ((error?: Error) => void) | undefined;
  failAppend: Error | undefined;

  get size(): number {
    return this.text.length;
  }
  append(bytes: Uint8Array | string): void {
    if (this.failAppend !== undefined) throw this.failAppend;
    this.text += String(bytes);
  }
  sync(): Promise<void> {
    this.syncs++;
    const now = this.text;
    return new Promise((resolve, reject) => {
      this.#end = (error) => {
        if (error !== undefined) return reject(error);
        this.durable = now;
        resolve();
      };
    });
  }
  async endSync(error?: Error): Promise<void> {
    const end = this.#end;
    this.#end = undefined;
    end?.(error);
    await new Promise((resolve) => setImmediate(resolve));
  }
  async close(options?: { readonly durable?: boolean }): Promise<void> {
    this.closed = options;
  }
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const numbers = (text: string) =>
  text
    .split("\n")
    .filter((one) => one !== "")
    .map((one) => JSON.parse(one).n);

describe("a journal", () => {
  test("writes lines in order; who waits is told when they are durable and not before", async () => {
    const file = new SlowFile();
    const journal = new Journal(file);
    let told = 0;
    journal.write(line(1));
    journal.write(line(2));
    void journal.durable().then(() => told++);
    await settle();
    expect([numbers(file.text), told]).toEqual([[1, 2], 0]);
    await file.endSync();
    expect(told).toBe(1);
    expect(numbers(file.durable)).toEqual([1, 2]);
  });

  test("what comes during a sync waits for the next: a thousand lines cost two", async () => {
    const file = new SlowFile();
    const journal = new Journal(file);
    journal.write(line(0));
    const waits = [journal.durable()];
    await settle();
    for (let n = 1; n <= 1000; n++) {
      journal.write(line(n));
      waits.push(journal.durable());
    }
    await settle();
    expect(numbers(file.text)).toEqual([0]);
    await file.endSync();
    expect(file.syncs).toBe(2);
    await file.endSync();
    await Promise.all(waits);
    expect(file.syncs).toBe(2);
    expect(numbers(file.durable)).toEqual(Array.from({ length: 1001 }, (_, n) => n));
  });

  test("lines of one turn are made durable together", async () => {
    const file = new SlowFile();
    const journal = new Journal(file);
    journal.write(line(1));
    const first = journal.durable();
    journal.write(line(2));
    const second = journal.durable();
    await settle();
    await file.endSync();
    await Promise.all([first, second]);
    expect(file.syncs).toBe(1);
  });

  test.each([
    ["a sync", async (file: SlowFile, error: Error) => file.endSync(error)],
    ["an append", async () => undefined],
  ])(
    "%s that fails poisons it: nobody is told that anything after it is safe, and nothing more is written",
    async (which, fail) => {
      const file = new SlowFile();
      const journal = new Journal(file);
      const full = new Error("full");
      if (which === "an append") file.failAppend = full;
      journal.write(line(1));
      const first = journal.durable();
      const told = expect(first).rejects.toThrow("full");
      await settle();
      await fail(file, full);
      await told;
      file.failAppend = undefined;
      const before = file.text;
      journal.write(line(2));
      await expect(journal.durable()).rejects.toThrow("full");
      await journal.close();
      expect(file.text).toBe(before);
      expect(file.closed).toEqual({ durable: false });
    },
  );

  test("closing writes what nobody has waited for", async () => {
    const file = new SlowFile();
    const journal = new Journal(file);
    journal.write(line(7));
    await journal.close();
    expect(numbers(file.text)).toEqual([7]);
    expect(file.closed).toEqual({ durable: true });
  });
});
