/** Holds commands to their documents: what they print as JSON against the shipped schemas, their errors, their text. */
import { spawnSync } from "node:child_process";
import { expect } from "vitest";
import { catalog } from "../../src/cli/catalog.ts";
import { exitCodes } from "../../src/cli/exit-codes.ts";
import { errorCodes } from "../../src/kernel/error-codes.ts";
import { program, type Result, runFen } from "./cli.ts";
import { problemsOf } from "./schemas.ts";

interface Where {
  readonly path: string;
}

interface Options {
  readonly exitCode?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

/** The words of a line; single quotes hold words together. */
function words(line: string): string[] {
  return (line.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll("'", ""));
}

function call(where: Where, line: string, options: Options & { readonly more?: readonly string[] }): Promise<Result> {
  const { env = {}, input = "", more = [] } = options;
  return runFen([...words(line), ...more], { cwd: where.path, env, input });
}

/** Name of the schema of the command that a line calls. */
function schemaNameOf(line: string): string {
  const given = words(line);
  const command = catalog.find(({ path }) => path.every((word, index) => given[index] === word));
  if (command === undefined) throw new Error(`no command: ${line}`);
  return command.path.join("-");
}

/** The document of a command: alone on stdout, as its schema says, the exit code as expected (0), nothing but events on stderr. */
// oxlint-disable-next-line typescript/no-explicit-any -- a test says what it expects of it
export async function documentOf(where: Where, line: string, options: Options = {}): Promise<any> {
  const result = await call(where, line, { ...options, more: ["--json"] });
  expect({ line, exitCode: result.exitCode, stderr: result.stderr }).toMatchObject({ exitCode: options.exitCode ?? 0 });
  const document: unknown = result.json();
  expect(result.stdout).toBe(`${JSON.stringify(document, undefined, 2)}\n`);
  expect(problemsOf(schemaNameOf(line), document)).toEqual([]);
  expect(eventsIn(result.stderr).every((event) => typeof event === "object")).toBe(true);
  return document;
}

/** Lines of JSON, each as the schema of events says. */
// oxlint-disable-next-line typescript/no-explicit-any -- as above
export function eventsIn(text: string): any[] {
  const events = text
    .split("\n")
    .filter((line) => line !== "")
    .map((line): unknown => JSON.parse(line));
  expect(events.flatMap((event) => problemsOf("events", event))).toEqual([]);
  return events;
}

/** The error of a command as JSON: as its schema says, with the exit code of its code, nothing on stdout. */
// oxlint-disable-next-line typescript/no-explicit-any -- as above
export async function errorOf(where: Where, line: string, options: Omit<Options, "exitCode"> = {}): Promise<any> {
  const result = await call(where, line, { ...options, more: ["--json"] });
  expect({ line, stdout: result.stdout }).toEqual({ line, stdout: "" });
  const error = result.error();
  expect(problemsOf("error", { error })).toEqual([]);
  const info = Object.entries(errorCodes).find(([code]) => code === error.code)?.[1];
  expect({ line, exitCode: result.exitCode, retryable: error.retryable }).toEqual({
    line,
    exitCode: info === undefined ? undefined : exitCodes[info.kind].code,
    retryable: info?.retryable,
  });
  return { ...error, exitCode: result.exitCode };
}

/** What a command says to people on stdout, with what differs from run to run replaced. */
export async function textOf(where: Where, line: string, options: Options = {}): Promise<string> {
  const result = await call(where, line, options);
  expect({ line, exitCode: result.exitCode, stderr: result.stderr }).toMatchObject({ exitCode: options.exitCode ?? 0 });
  return tidy(where, result.stdout);
}

/** The same on a terminal, where questions are asked, editors open and colours show: what the terminal got. */
export function onTerminal(where: Where, line: string, options: Omit<Options, "exitCode"> = {}): string {
  const command = [process.execPath, program, ...words(line)].map((word) => `'${word}'`).join(" ");
  const done = spawnSync("script", ["-qec", command, "/dev/null"], {
    cwd: where.path,
    env: { ...process.env, SWAMP_REPO_DIR: "", SWAMP_DATASTORE: "", NO_COLOR: "1", PAGER: "cat", ...options.env },
    input: options.input ?? "",
    encoding: "utf8",
    timeout: 60_000,
  });
  if (done.error !== undefined) throw done.error;
  return done.stdout.replaceAll("\r\n", "\n");
}

/** Replaces the folder, ids, times and durations. */
export function tidy(where: Where, text: string): string {
  return text
    .replaceAll(where.path, "<repo>")
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "<id>")
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z/g, "<stamp>")
    .replaceAll(/\b[0-9a-f]{12}\b/g, "<checksum>")
    .replaceAll(/\b[0-9a-f]{8}\b/g, "<id>")
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, "<time>")
    .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "<time>")
    .replaceAll(/\d+(\.\d+)? (ms|s)\b/g, "<duration>")
    .replace(/\n$/, "");
}
