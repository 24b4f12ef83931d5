import { expect, test } from "vitest";
import { MemoryFiles } from "../../test/support/memory-files.ts";
import { DurableLater } from "./durable-later.ts";

/** Files whose syncs end when the test says so. */
class SlowFiles extends MemoryFiles {
  readonly asked: (readonly string[])[] = [];
  readonly #ends: ((error?: Error) => void)[] = [];

  override sync(paths: readonly string[] = []): Promise<void> {
    this.asked.push(paths);
    return new Promise((resolve, reject) =>
      this.#ends.push((error) => (error === undefined ? resolve() : reject(error))),
    );
  }

  async end(error?: Error): Promise<void> {
    this.#ends.shift()?.(error);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const add = (records: DurableLater, from: number, count: number) => {
  for (let number = from; number < from + count; number++) records.add(String(number));
};

test("records are made durable by the hundred beside the work, and the last of them when all are asked for", async () => {
  const files = new SlowFiles();
  const records = new DurableLater(files);
  await records.settled(); // of none
  add(records, 0, 511);
  expect(files.asked).toHaveLength(0);
  add(records, 511, 11);
  await files.end();
  add(records, 522, 10);
  expect(files.asked.map((paths) => paths.length)).toEqual([512]);
  let isSettled = false;
  const settled = records.settled().then(() => (isSettled = true));
  await files.end();
  expect(files.asked.map((paths) => paths.length)).toEqual([512, 20]);
  expect(isSettled).toBe(false);
  await files.end();
  await settled;
  expect(new Set(files.asked.flat()).size).toBe(532);
});

test("a failure is told to who asks for all", async () => {
  const files = new SlowFiles();
  const records = new DurableLater(files);
  add(records, 0, 512);
  await files.end(new Error("worn out"));
  await expect(records.settled()).rejects.toThrow("worn out");
  await records.settled(); // told once
});

test("the first are written here, the many after them by others, who are waited for in the end", async () => {
  const files = new SlowFiles();
  const later: string[] = [];
  let broken = false;
  const written = {
    write: (path: string) => void later.push(path),
    settled: async () => {
      if (broken) throw new Error("worn out");
    },
  };
  const records = new DurableLater(Object.assign(files, { later: () => written }));
  for (let number = 0; number < 600; number++) await records.write(String(number), "record");
  expect([files.files.size, later.length]).toEqual([512, 88]);
  const settled = records.settled();
  await new Promise((resolve) => setImmediate(resolve));
  expect(files.asked.map((paths) => paths.length)).toEqual([512]);
  await files.end();
  await settled;
  broken = true;
  await expect(records.settled()).rejects.toThrow("worn out");
});

test("where many are expected others write all of them, where few are none", async () => {
  for (const [expected, here] of [
    [513, 0],
    [512, 20],
  ] as const) {
    const files = new SlowFiles();
    const later: string[] = [];
    const written = { write: (path: string) => void later.push(path), settled: async () => undefined };
    const records = new DurableLater(Object.assign(files, { later: () => written }));
    records.expect(expected);
    for (let number = 0; number < 20; number++) await records.write(String(number), "record");
    expect([files.files.size, later.length]).toEqual([here, 20 - here]);
  }
});

test("where there are no others, all are written here; they are asked for once", async () => {
  const files = new SlowFiles();
  let asked = 0;
  const later = () => {
    asked++;
    return undefined;
  };
  const records = new DurableLater(Object.assign(files, { later }));
  records.expect(600);
  for (let number = 0; number < 600; number++) await records.write(String(number), "record");
  expect([files.files.size, asked]).toEqual([600, 1]);
});
