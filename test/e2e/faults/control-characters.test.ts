/** Names and tags that hold newlines and orders to a terminal: text for people shows them harmlessly, JSON as they are, and what a command prints stays its own. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Scratch, scratchRepo } from "../../support/cli.ts";
import { execute } from "./attack.ts";

const bad = "web\u001B[2J\u001B]0;owned\u0007\r\t\u009B1A\n-01";
const orders = /[\u0000-\u0009\u000B-\u001F\u007F-\u009F]/; // oxlint-disable-line no-control-regex -- what must not be printed

let repo: Scratch;
beforeAll(async () => {
  repo = await scratchRepo();
  // Not as one line of JSON: a name with escapes is looked for in block style only.
  repo.write(
    "models/command/shell/bad.yaml",
    [
      "type: command/shell",
      "id: a0000000-0000-4000-a000-00000000bad0",
      `name: ${JSON.stringify(bad)}`,
      "version: 1",
      `tags: { site: ${JSON.stringify(bad)} }`,
      `methods: { execute: { arguments: { run: ${JSON.stringify("printf '\\033[1;34mblue\\033[0m\\tx\\n'")} } } }`,
    ].join("\n"),
  );
  repo.model("plain", "exit 3", { tags: { site: bad }, inputs: { properties: { a: { type: "string" } } } });
});
afterAll(() => repo.remove());

test.each([
  ["model", "search"],
  ["model", "get", bad],
  ["model", "get", "plain"],
  ["model", "get", `${bad}?`],
  ["model", "validate"],
  ["model", "method", "describe", bad, bad],
  ["model", "edit", `${bad}?`],
  ["data", "list", bad],
  ["data", "search", "--type", bad],
  ["workflow", "run", bad],
  ["model", "method", "run", "plain", "execute", "--tag", `site=${bad}`],
  ["model", "method", "history", "search"],
])("%s %s", async (...args) => {
  const { stdout, stderr } = await repo.fen(...args);
  expect(stdout + stderr).not.toBe("");
  expect(stdout + stderr).not.toMatch(orders);
});

test("a table keeps to one line each", async () => {
  const { stdout } = await repo.fen("model", "search");
  expect(stdout.trimEnd().split("\n")).toHaveLength(3);
  expect(stdout).toMatch(/^web {2}1A-01 {2}/m);
});

test("JSON tells the name as it is", async () => {
  expect((await repo.fen("model", "get", bad, "--json")).json()).toMatchObject({ name: bad, tags: { site: bad } });
  expect((await repo.fen("model", "get", `${bad}?`, "--json")).error().message).toContain(bad);
});

test("what the command prints is printed, kept and shown as it is", async () => {
  const own = "\u001B[1;34mblue\u001B[0m\tx\n";
  const run = await repo.fen(...execute(bad));
  expect(run.stdout).toBe(own);
  expect(run.stderr).not.toMatch(orders);
  expect((await repo.fen("data", "get", bad, "log")).stdout).toContain(own);
});
