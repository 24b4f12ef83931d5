/** `--input key=value`, `--input-file` and `--tag` of a command line. */
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { FenError } from "../kernel/errors.ts";
import { readTextFile } from "../kernel/files.ts";
import type { Machine } from "../kernel/machine.ts";
import { isRecord, parseYaml } from "../repo/yaml.ts";
import { unkeepable } from "../workflow/unkeepable.ts";

const maxInputBytes = 16 * 1024 * 1024;
const forbidden = new Set(["__proto__", "constructor", "prototype"]);

export interface GivenInputs {
  readonly input?: readonly string[] | undefined;
  readonly inputFile?: string | PipedInputs | undefined;
}

/** What is read in the place of a file of inputs. */
export interface PipedInputs {
  /** For messages. */
  readonly name: string;
  read(maxBytes: number): Promise<string>;
}

/**
 * `a.b=v` nests, `key=@file` reads a file (`\@` escapes), one value starting with `{` is JSON. Pairs go over the file. `flag`: what pairs are given with. Throws
 * `input_invalid`.
 */
export async function parseInputs(
  machine: Machine,
  given: GivenInputs,
  flag = "--input",
): Promise<Record<string, unknown>> {
  const pairs = given.input ?? [];
  const [only] = pairs;
  if (pairs.length === 1 && only?.trimStart().startsWith("{")) return parseJson(only, flag);
  const inputs = given.inputFile === undefined ? {} : await readInputFile(machine, given.inputFile);
  for (const pair of pairs) {
    const cut = pair.indexOf("=");
    if (cut <= 0)
      throw new FenError("input_invalid", `${flag} needs key=value, not: ${cut === 0 ? pair : pair.slice(0, 40)}`, {
        hint: `For example: ${flag} pkg=curl`,
      });
    setDeep(inputs, pair.slice(0, cut).split("."), await valueOf(machine, pair.slice(cut + 1)));
  }
  return inputs;
}

export function parseTags(tags: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    tags.map((tag) => {
      const cut = tag.indexOf("=");
      if (cut <= 0 || forbidden.has(tag.slice(0, cut)))
        throw new FenError("input_invalid", `--tag needs key=value, not: ${tag}`, {
          hint: "For example: --tag site=ams",
        });
      return [tag.slice(0, cut), tag.slice(cut + 1)];
    }),
  );
}

function parseJson(text: string, flag: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (isRecord(value)) return checked(value);
  } catch (error) {
    if (error instanceof FenError) throw error;
    const why = error instanceof RangeError ? "is nested too deeply" : "isn't JSON";
    throw new FenError("input_invalid", `${flag} starts with { but ${why}.`, {
      hint: `Quote it for the shell: ${flag} '{"pkg": "curl"}'`,
      cause: error,
    });
  }
  throw new FenError("input_invalid", `${flag} must be a JSON object.`, {
    hint: `For example: ${flag} '{"pkg": "curl"}'`,
  });
}

async function readInputFile(machine: Machine, file: string | PipedInputs): Promise<Record<string, unknown>> {
  const path = typeof file === "string" ? resolve(machine.host.cwd, file) : file.name;
  const text = await (typeof file === "string"
    ? readTextFile(path, maxInputBytes, { orPipe: true })
    : file.read(maxInputBytes));
  if (text === undefined)
    throw new FenError("input_invalid", `No such input file: ${path}`, {
      hint: "It is a YAML or JSON file with a map of inputs.",
    });
  const value = parseYaml(text, path) ?? {};
  if (!isRecord(value))
    throw new FenError("input_invalid", `The input file must hold a map: ${path}`, {
      hint: "Write one input a line: pkg: curl",
    });
  return checked(value);
}

async function valueOf(machine: Machine, text: string): Promise<string> {
  if (text.startsWith("\\@")) return text.slice(1);
  if (!text.startsWith("@")) return text;
  const name = text.slice(1);
  const path = name.startsWith("~/")
    ? join(machine.host.env["HOME"] ?? homedir(), name.slice(2))
    : resolve(machine.host.cwd, name);
  const content = await readTextFile(path, maxInputBytes, { orPipe: true });
  if (content === undefined)
    throw new FenError("input_invalid", `No such file: ${path}`, {
      hint: "A value that really starts with @ is written \\@",
    });
  return content;
}

function setDeep(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key = "", ...rest] = path;
  if (key === "" || forbidden.has(key)) throw badKey(key);
  if (rest.length === 0) {
    target[key] = value;
    return;
  }
  const child = Object.hasOwn(target, key) ? target[key] : undefined;
  const map = isRecord(child) ? child : {};
  target[key] = map;
  setDeep(map, rest, value);
}

function checked(inputs: Record<string, unknown>): Record<string, unknown> {
  checkKeys(inputs);
  const found = unkeepable(inputs);
  if (found === undefined) return inputs;
  const key = found.findLast((one) => typeof one === "string");
  throw new FenError(
    "input_invalid",
    `The input ${key} is a number that is infinite or none, which no record can keep.`,
    {
      hint: "Give another number, or text.",
    },
  );
}

function checkKeys(value: unknown): void {
  if (Array.isArray(value)) for (const item of value) checkKeys(item);
  if (!isRecord(value)) return;
  for (const [key, child] of Object.entries(value)) {
    if (forbidden.has(key)) throw badKey(key);
    checkKeys(child);
  }
}

function badKey(key: string): FenError {
  return new FenError("input_invalid", `An input can't be called ${JSON.stringify(key)}.`, {
    hint: "Use another name: fen model get <model> shows the inputs.",
  });
}
