/** Completions in the real shells: keys are typed on a terminal, and what counts is the command line that the shell then runs. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { program, runFen, type Scratch, scratchRepo, until } from "../support/cli.ts";
import { Terminal } from "../support/terminal.ts";

let repo: Scratch;
let bin: string;
let ran: string;

beforeAll(async () => {
  repo = await scratchRepo();
  for (const name of ["web-01", "my model", "it's", 'say "hi"', "$(touch pwned)", "`touch pwned`"])
    repo.model(name, "echo hello");
  await repo.fen("model", "method", "run", "web-01", "execute");
  await repo.fen("workflow", "create", "patch-web");
  bin = mkdtempSync(join(tmpdir(), "fen-bin-"));
  ran = join(bin, "ran");
  mkdirSync(join(bin, "real"));
  // On the PATH stand programs that answer the shells' questions, and note the words of every other call instead of running it.
  for (const name of ["fen", "swamp"]) {
    symlinkSync(program, join(bin, "real", name));
    const lines = [
      "#!/bin/sh",
      `case $1 in __complete|completions) exec ${join(bin, "real", name)} "$@" ;; esac`,
      `printf '%s\\n' ${name} "$@" > ${ran}.new && mv ${ran}.new ${ran}`,
    ];
    writeFileSync(join(bin, name), `${lines.join("\n")}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  symlinkSync(process.execPath, join(bin, "node"));
});
afterAll(() => {
  repo.remove();
  rmSync(bin, { recursive: true, force: true });
});

interface ShellSpec {
  readonly shell: string;
  readonly start: string;
  /** Typed first. */
  load(name: string): string;
}

const shells: readonly ShellSpec[] = [
  { shell: "bash", start: "bash --norc --noprofile -i", load: (name) => `source <(${name} completions bash)` },
  { shell: "zsh", start: "zsh -f -i", load: (name) => `source <(${name} completions zsh)` },
  { shell: "fish", start: "fish --no-config -i", load: (name) => `${name} completions fish | source` },
];

/** Ctrl-U */
const eraseLine = "\u0015";

/** Types `keys` (with tabs) and Enter; gives the words of the command that the shell ran. */
async function typed({ start, load }: ShellSpec, keys: string, name = "fen"): Promise<string[]> {
  rmSync(ran, { force: true });
  const env = { PATH: `${bin}:/usr/bin:/bin`, HOME: bin, PS1: "> ", XDG_CONFIG_HOME: bin, XDG_DATA_HOME: bin };
  const terminal = new Terminal(start, { cwd: repo.path, columns: 100, rows: 40, env });
  terminal.type(`${load(name)}; echo rea''dy\n`);
  await until(
    () => /^ready/m.test(terminal.window.text()),
    () => `the prompt in:\n${terminal.window.text()}`,
  );
  const [first = "", rest] = keys.split(eraseLine);
  if (rest !== undefined) {
    terminal.type(first);
    await terminal.shows("pwned"); // the list of what may come next
  }
  terminal.type(rest === undefined ? `${keys}\n` : `${eraseLine}${rest}\n`);
  await until(
    () => existsSync(ran),
    () => `the call of ${JSON.stringify(keys)} in:\n${terminal.window.text()}`,
  );
  terminal.type("exit\n");
  await terminal.done;
  return readFileSync(ran, "utf8").trimEnd().split("\n");
}

describe.each(shells)("$shell", (shell) => {
  test.each([
    { what: "commands", keys: "fen mod\tme\tr\tx y", words: "fen model method run x y" },
    {
      what: "flags",
      keys: "fen model method run web-01 execute --lock-t\t30s",
      words: "fen model method run web-01 execute --lock-timeout 30s",
    },
    { what: "names of models", keys: "fen model get web\t", words: "fen model get web-01" },
    {
      what: "names after flags",
      keys: "fen --quiet model get --repo-dir . web\t",
      words: "fen --quiet model get --repo-dir . web-01",
    },
    {
      what: "models as values of flags",
      keys: "fen data search --model web\t",
      words: "fen data search --model web-01",
    },
    { what: "names of workflows", keys: "fen workflow validate pat\t", words: "fen workflow validate patch-web" },
    { what: "types", keys: "fen model create com\tnew", words: "fen model create command/shell new" },
    { what: "methods", keys: "fen model method run web-01 ex\t", words: "fen model method run web-01 execute" },
    { what: "names of data", keys: "fen data get web-01 l\t", words: "fen data get web-01 log" },
    {
      what: "workflows as values of flags",
      keys: "fen data list --workflow pat\t",
      words: "fen data list --workflow patch-web",
    },
    {
      what: "files, by the shell itself",
      keys: "fen model method run web-01 execute --input-file .sw\t",
      words: "fen model method run web-01 execute --input-file .swamp",
    },
  ])("$what", async ({ keys, words }) => {
    expect((await typed(shell, keys)).map((word) => word.replace(/^\.swamp.*/, ".swamp"))).toEqual(words.split(" "));
  });

  test.each([
    { keys: "fen model get my\t", name: "my model" },
    { keys: 'fen model get "my\t', name: "my model" },
    { keys: "fen model get it\t", name: "it's" },
    { keys: 'fen model get "it\t', name: "it's" },
    { keys: "fen model get say\t", name: 'say "hi"' },
  ])("$keys gives the model $name as one word", async ({ keys, name }) => {
    expect(await typed(shell, keys)).toEqual(["fen", "model", "get", name]);
  });

  test("a model whose name has a blank has its methods completed", async () => {
    const words = await typed(shell, "fen model method run 'my model' ex\t");
    expect(words).toEqual(["fen", "model", "method", "run", "my model", "execute"]);
  });

  test("a name that looks like a command is offered, and not run", async () => {
    expect(await typed(shell, `fen model get \t\t${eraseLine}fen done`)).toEqual(["fen", "done"]);
    expect(existsSync(join(repo.path, "pwned"))).toBe(false);
  });

  test("the link named swamp is completed under its own name", async () => {
    expect(await typed(shell, "swamp model get web\t", "swamp")).toEqual(["swamp", "model", "get", "web-01"]);
  });
});

test("where there is nothing to offer, or no repository, nothing is said", async () => {
  for (const words of [
    ["nonsense", ""],
    ["model", "get", ""],
    ["model", "method", "run", "nobody", ""],
  ]) {
    const done = await runFen(["__complete", "--", ...words], { cwd: bin });
    expect(done).toMatchObject({ exitCode: 0, stdout: "", stderr: "" });
  }
});

test("an answer takes no longer than a person notices", async () => {
  const times: number[] = [];
  const floors: number[] = [];
  for (let round = 0; round < 7; round++) {
    const start = performance.now();
    await runFen(["-e", "0"], { cwd: repo.path, as: [process.execPath] });
    const between = performance.now();
    await runFen(["__complete", "--", "model", "get", ""], { cwd: repo.path });
    floors.push(between - start);
    times.push(performance.now() - between);
  }
  const median = (all: number[]) => all.sort((a, b) => a - b)[3] ?? 0;
  // 150 ms, on a machine where node itself takes less than 50.
  expect(median(times)).toBeLessThan(Math.max(150, 3 * median(floors)));
});

test("completions --help says where the line goes, for each shell", async () => {
  const { stdout } = await repo.fen("completions", "--help");
  for (const text of ["~/.bashrc", "~/.zshrc", "config.fish", "PATH"]) expect(stdout).toContain(text);
});

test("an unknown shell and an impossible name are refused", async () => {
  expect((await repo.fen("completions", "tcsh")).exitCode).toBe(2);
  expect((await repo.fen("completions", "bash", "--name", "a;b")).exitCode).toBe(2);
});
