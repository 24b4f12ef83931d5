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

test.each([
  ["one line of JSON with escapes", `{"id":"${id}","name":"web\\u002d01 a","version":1,"type":"command/shell"}`],
  [
    "JSON with escapes",
    `{\n  "id": "${id}",\n  "name": "web\\u002d01 a",\n  "version": 1,\n  "type": "command/shell"\n}\n`,
  ],
  ["a quoted text with escapes", `"name": !!str "web\\x2d01 a"\nid: ${id}\nversion: 1\ntype: command/shell\n`],
  ["a block", `name: >-\n  web-01\n  a\nid: ${id}\nversion: 1\ntype: command/shell\n`],
  ["several lines", `name: web-01\n  a\nid: ${id}\nversion: 1\ntype: command/shell\n`],
])("a definition is found by its name, written as %s", async (_, text) => {
  const file = write("models/command/shell/any.yaml", text);
  expect((await definitions.find("web-01 a")).file).toBe(file);
});

test("a quote in quotes is one", async () => {
  const file = write("models/command/shell/any.yaml", `name: 'it''s'\nid: ${id}\nversion: 1\ntype: command/shell\n`);
  expect((await definitions.find("it's")).file).toBe(file);
});
