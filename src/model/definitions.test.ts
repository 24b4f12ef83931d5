import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { layoutOf } from "../repo/repository.ts";
import { Definitions } from "./definitions.ts";

let root: string;
let definitions: Definitions;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "fen-definitions-"));
  definitions = new Definitions(layoutOf(root));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, text: string): string {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

const id = "00000000-0000-4000-8000-000000000001";

test("pipes, sockets and links to them are told among what can't be read, and keep nobody waiting", async () => {
  write("models/command/shell/a.yaml", `id: ${id}\nname: a\nversion: 1\ntype: command/shell\n`);
  const [link, pipe, socket] = ["link", "pipe", "socket"].map((name) =>
    join(root, `models/command/shell/${name}.yaml`),
  );
  if (link === undefined || pipe === undefined || socket === undefined) throw new Error("three are made");
  execFileSync("mkfifo", [pipe, join(root, "elsewhere")]);
  symlinkSync(join(root, "elsewhere"), link);
  const server = createServer().listen(socket);
  await new Promise((resolve) => server.once("listening", resolve));
  const { definitions: found, problems } = await definitions.list();
  expect(found).toMatchObject([{ name: "a" }]);
  expect(problems.map(({ message }) => message)).toEqual(
    [link, pipe, socket].map((file) => `Can't use the file: ${file} (it is a pipe, a socket or a device)`),
  );
  await expect(definitions.find("pipe")).rejects.toMatchObject({ code: "store_unavailable", facts: { path: pipe } });
  await expect(definitions.find("b")).rejects.toThrow(expect.objectContaining({ code: "model_missing" }));
  server.close();
});
