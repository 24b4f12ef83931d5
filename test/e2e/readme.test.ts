/** README's five minutes, typed line by line: what it shows is what one sees. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { hostname, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { program } from "../support/cli.ts";
import { root } from "../house/source.ts";

let home: string;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "fen-readme-"));
  symlinkSync(program, join(home, "fen"));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

interface Step {
  readonly command: string;
  readonly shown: string;
}

/** `$ command`, `> its further lines`, and what is shown until the next one. */
function steps(markdown: string): Step[] {
  const blocks = [...markdown.matchAll(/^```console\n([\s\S]*?)^```/gm)].map((match) => match[1] ?? "");
  return blocks
    .flatMap((block) => block.split(/^\$ /m).slice(1))
    .map((text) => {
      const [first = "", ...lines] = text.trimEnd().split("\n");
      const more = lines.filter((line) => line.startsWith("> ")).map((line) => line.slice(2));
      return {
        command: [first, ...more].join("\n"),
        shown: lines.filter((line) => !line.startsWith("> ")).join("\n"),
      };
    });
}

/** Without what differs from run to run: ids, times, sizes, who and where; blanks count as one. */
function essence(text: string): string {
  const user = process.env["USER"] ?? userInfo().username;
  return text
    .replaceAll(`${user}@${hostname()}`, "you@host")
    .replaceAll(home, "/srv")
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "<uuid>")
    .replaceAll(/^[0-9a-f]{8} /gm, "<id> ")
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d\d:\d\d:\d\d/g, "<time>")
    .replaceAll(/\d+ ms\b|\d+\.\d s\b/g, "<duration>")
    .replaceAll(/\b\d+ B\b/g, "<size>")
    .replaceAll(/(pid |you@host )\s*\d+/g, "$1<pid>")
    .replaceAll(/ +/g, " ")
    .trim();
}

/** The one call that others wait for works longer, the rest shorter, so that a busy machine sees what README shows too. */
function patient(script: string): string {
  const changed = [
    ["        sleep 3\n", "        sleep ${HOLD:-1}\n"],
    ["fen model method run web-01 execute > first.log", "HOLD=15 fen model method run web-01 execute > first.log"],
    ["sleep 1; fen datastore", "sleep 4; fen datastore"],
  ] as const;
  for (const [text] of changed) expect(script).toContain(text);
  return changed.reduce((sum, [text, other]) => sum.replace(text, () => other), script);
}

test("every command of README's five minutes says what README shows", () => {
  const all = steps(readFileSync(join(root, "README.md"), "utf8"));
  expect(all.length).toBeGreaterThan(10);
  const mark = "--- next ---";
  const script = all.map(({ command }) => `${command}\necho '${mark}'`).join("\n");
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    PATH: `${home}:${process.env["PATH"] ?? ""}`,
    SWAMP_REPO_DIR: "",
    SWAMP_DATASTORE: "",
    SWAMP_LOCK_TIMEOUT_MS: "",
    NO_COLOR: "1",
  };
  // Both streams into one, as on a terminal; `$?` is that of the command before, so the mark must not come between.
  const asked = script.replaceAll(`echo '${mark}'\necho $?`, `status=$?; echo '${mark}'\necho $status`);
  const done = spawnSync("bash", ["-c", `exec 2>&1\n${patient(asked)}`], { cwd: home, env, encoding: "utf8" });
  const said = done.stdout.split(`${mark}\n`);
  for (const [index, { command, shown }] of all.entries())
    expect(`$ ${command}\n${essence(said[index] ?? "")}`).toBe(`$ ${command}\n${essence(shown)}`);
});

test("a package made of the clone holds the program, the docs and README", () => {
  const [packed] = JSON.parse(
    execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: root, encoding: "utf8" }),
  );
  const paths = packed.files.map((file: { path: string }) => file.path);
  for (const path of ["dist/fen.cjs", "README.md", "LICENSE", "docs/demo.svg", "docs/reference/commands.md"])
    expect(paths).toContain(path);
});
