/** What is different on a terminal: long text goes through the pager, questions are asked, the editor opens. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { program, type Scratch, scratchRepo } from "../support/cli.ts";
import { Terminal } from "../support/terminal.ts";

let repo: Scratch;
beforeAll(async () => {
  repo = await scratchRepo();
  repo.write("pager", '#!/bin/sh\ncat > "$PAGED"\necho seen in the pager\n');
  repo.write("impatient", "#!/bin/sh\nread -r first\necho had enough\n");
  repo.model("chatty", "seq 1 60000");
  await repo.fen("model", "method", "run", "chatty", "execute");
});
afterAll(() => repo.remove());

let paged = 0;
async function onTerminal(args: string, options: { rows: number; columns?: number; env?: Record<string, string> }) {
  const file = join(repo.path, `paged-${++paged}`);
  const env = { PAGER: `sh ${join(repo.path, "pager")}`, PAGED: file, ...options.env };
  const size = { columns: options.columns ?? 80, rows: options.rows };
  const terminal = new Terminal(`${process.execPath} ${program} ${args}`, { cwd: repo.path, ...size, env });
  expect(await terminal.done).toBe(0);
  return { text: terminal.window.text(), paged: existsSync(file) ? readFileSync(file, "utf8") : undefined };
}

test("help that is longer than the window goes through $PAGER", async () => {
  const { text, paged: seen } = await onTerminal("help", { rows: 24 });
  expect(seen).toContain("model method run");
  expect(text).toContain("seen in the pager");
  expect(text).not.toContain("model method run");
});

test("lines that the window wraps count as what they take", async () => {
  expect((await onTerminal("help", { rows: 70, columns: 40 })).paged).toBeDefined();
});

test.each([
  { what: "a window that holds it all", args: "help", rows: 200, env: {} },
  { what: "--no-pager", args: "help --no-pager", rows: 24, env: {} },
  { what: "PAGER=cat", args: "help", rows: 24, env: { PAGER: "cat" } },
  { what: "a pager that isn't there", args: "help", rows: 24, env: { PAGER: "no-such-pager 2>/dev/null" } },
])("$what: the text is printed", async ({ args, rows, env }) => {
  const { text, paged: seen } = await onTerminal(args, { rows, env });
  expect(seen).toBeUndefined();
  expect(text).toContain("model method run");
});

test("a pager that is left early ends the matter", async () => {
  const env = { PAGER: `sh ${join(repo.path, "impatient")}` };
  const { text } = await onTerminal("data get chatty log", { rows: 24, env });
  expect(text.trim()).toBe("had enough");
});

test("what goes into a file is never paged", async () => {
  expect((await repo.fen("help")).stdout).toContain("model method run");
});

test.each([
  { answer: "y", left: "" },
  { answer: "n", left: "log" },
])("deleting asks, and $answer is believed", async ({ answer, left }) => {
  repo.model(`doomed-${answer}`, "echo hello");
  await repo.fen("model", "method", "run", `doomed-${answer}`, "execute");
  const command = `${process.execPath} ${program} data delete doomed-${answer} log`;
  const terminal = new Terminal(command, { cwd: repo.path, columns: 80, rows: 24 });
  await terminal.shows("[y/N]");
  terminal.type(`${answer}\n`);
  expect(await terminal.done).toBe(0);
  const list = (await repo.fen("data", "list", `doomed-${answer}`, "--type", "file", "--json")).json();
  expect(list.groups.flatMap((group: { items: { name: string }[] }) => group.items.map((item) => item.name))).toEqual(
    left === "" ? [] : [left],
  );
});

test.each([
  { key: "Ctrl-C", typed: "\u0003", exitCode: 130, said: "error: Interrupted by SIGINT." },
  { key: "Ctrl-D", typed: "\u0004", exitCode: 0, said: "Nothing was deleted." },
])("$key at a question: nothing is done", async ({ typed, exitCode, said }) => {
  const command = `${process.execPath} ${program} data delete chatty log`;
  const terminal = new Terminal(command, { cwd: repo.path, columns: 80, rows: 24 });
  await terminal.shows("[y/N]");
  terminal.type(typed);
  expect(await terminal.done).toBe(exitCode);
  expect(terminal.window.text()).toMatch(new RegExp(`\\[y/N\\] *\n${said}`));
  expect((await repo.fen("data", "get", "chatty", "log", "--no-content")).exitCode).toBe(0);
});

test("colours are for a terminal: stderr that goes into a file has none", async () => {
  const said = join(repo.path, "said");
  const command = `sh -c '${process.execPath} ${program} model method run chatty execute --input run="echo hello" 2>${said}'`;
  expect(await new Terminal(command, { cwd: repo.path, columns: 80, rows: 24, env: { NO_COLOR: "" } }).done).toBe(0);
  expect(readFileSync(said, "utf8")).toMatch(/^succeeded chatty execute in .*\n$/);
});

test("model edit opens $EDITOR and keeps what it wrote", async () => {
  repo.model("edited", "echo before");
  const command = `${process.execPath} ${program} model edit edited`;
  const env = { EDITOR: "sed -i s/before/after/", VISUAL: "" };
  const terminal = new Terminal(command, { cwd: repo.path, columns: 80, rows: 24, env });
  expect(await terminal.done).toBe(0);
  expect(JSON.stringify((await repo.fen("model", "get", "edited", "--json")).json())).toContain("echo after");
});
