import * as fs from "node:fs";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { listFolder } from "./files.ts";

vi.mock("node:fs", { spy: true });

/** What Node does where the filesystem doesn't say what an entry is, and one goes before it is looked at. */
function goesMeanwhile(times: number): void {
  for (let time = 0; time < times; time++)
    vi.mocked(fs.readdirSync).mockImplementationOnce(() => {
      throw Object.assign(new Error("ENOENT: no such file or directory, lstat"), { code: "ENOENT" });
    });
}

test("an entry that goes while a folder is listed doesn't make the folder look gone", () => {
  const folder = mkdtempSync(join(tmpdir(), "fen-list-"));
  writeFileSync(join(folder, "one"), "");
  goesMeanwhile(3);
  expect(listFolder(folder).map(({ name }) => name)).toEqual(["one"]);
  rmSync(folder, { recursive: true });
  goesMeanwhile(1);
  expect(() => listFolder(folder)).toThrow("ENOENT");
});
