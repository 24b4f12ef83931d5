/**
 * Reads a run's journal, also while it is being written: from the bytes that come to entries, and to the state that they fold to.
 * Half a line at the end is normal (it is still being written, or its writer died); so is half a line before a `resume`. Any other line that can't be
 * read is a problem that is told, and left out.
 */
import { FenError } from "../kernel/errors.ts";
import { isRecord } from "../repo/yaml.ts";
import type { Journals } from "../store/contract.ts";
import { type JournalEntry, maxLineBytes } from "./entries.ts";
import { RunState } from "./run-state.ts";

export interface JournalProblem {
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

export class JournalReader {
  readonly #path: string;
  readonly #problems: JournalProblem[] = [];
  #state: RunState | undefined;
  /** Of the line that isn't whole yet. */
  #rest: Uint8Array[] = [];
  #restBytes = 0;
  #offset = 0;
  #line = 0;
  /** A line that can't be read; forgiven where the next one says that the run was taken up again. */
  #broken: JournalProblem | undefined;

  /** `path`: for people. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Where the next bytes are read from. */
  get offset(): number {
    return this.#offset;
  }

  /** Undefined until the first line is there. */
  get state(): RunState | undefined {
    return this.#state;
  }

  get problems(): readonly JournalProblem[] {
    return this.#broken === undefined ? this.#problems : [...this.#problems, this.#broken];
  }

  /** The bytes that follow. Gives the entries that are whole by now, already folded. Throws `run_corrupt` where it isn't the journal of a run. */
  take(bytes: Uint8Array): JournalEntry[] {
    this.#offset += bytes.length;
    const end = bytes.lastIndexOf(0x0a) + 1;
    const whole = end === 0 ? [] : [...this.#rest, bytes.subarray(0, end - 1)];
    if (end > 0) this.#rest = [];
    const rest = Uint8Array.from(bytes.subarray(end)); // whose bytes they are may use them again
    if (rest.length > 0) this.#rest.push(rest);
    this.#restBytes = end > 0 ? rest.length : this.#restBytes + rest.length;
    if (this.#restBytes > maxLineBytes) throw this.#corrupt("a line has no end");
    const entries: JournalEntry[] = [];
    if (end === 0) return entries;
    for (const line of Buffer.concat(whole).toString().split("\n")) {
      const entry = this.#read(line);
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
  }

  #read(line: string): JournalEntry | undefined {
    this.#line++;
    if (line === "") return undefined; // written before a run is taken up again
    const entry = parseEntry(line);
    const problem = entry === undefined ? "it isn't an entry" : this.#fold(entry);
    if (this.#broken !== undefined && entry?.e !== "resume") this.#problems.push(this.#broken);
    this.#broken = problem === undefined ? undefined : { line: this.#line, message: problem };
    return problem === undefined ? entry : undefined;
  }

  /** Gives what is wrong. */
  #fold(entry: JournalEntry): string | undefined {
    try {
      if (this.#state !== undefined) this.#state.apply(entry);
      else if (entry.e === "run") this.#state = new RunState(entry);
      else throw this.#corrupt("its first line isn't there");
      return undefined;
    } catch (error) {
      if (error instanceof FenError) throw error;
      if (this.#state === undefined) throw this.#corrupt("its first line can't be used");
      return error instanceof Error ? error.message : String(error);
    }
  }

  #corrupt(why: string): FenError {
    return new FenError("run_corrupt", `The journal can't be read, ${why}: ${this.#path}`, {
      hint: "Bring the file back from a copy, or remove it to do without the run.",
      facts: { path: this.#path },
    });
  }
}

/** Reads what has come since the last time. Throws where there is no journal. */
export async function readOn(
  files: Pick<Journals, "stream">,
  path: string,
  reader: JournalReader,
  options: { readonly size?: number } = {},
): Promise<JournalEntry[]> {
  const entries: JournalEntry[] = [];
  for await (const bytes of files.stream(path, { start: reader.offset, ...options }))
    for (const entry of reader.take(bytes)) entries.push(entry);
  return entries;
}

/** A whole journal, as it is now. Undefined where there is none, or none with a first line. Throws `run_corrupt`. */
export async function readJournal(
  files: Pick<Journals, "stat" | "stream" | "locate">,
  path: string,
): Promise<{ readonly state: RunState; readonly reader: JournalReader } | undefined> {
  const info = await files.stat(path);
  if (info === undefined) return undefined;
  const reader = new JournalReader(files.locate(path));
  await readOn(files, path, reader, info);
  return reader.state === undefined ? undefined : { state: reader.state, reader };
}

/** Undefined where it isn't an entry that this version knows. */
export function parseEntry(line: string): JournalEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined; // half a line, or bytes that never reached the disk
  }
  return isEntry(value) ? value : undefined;
}

const isNumber = (value: unknown): boolean => typeof value === "number" && Number.isFinite(value);
const isText = (value: unknown): boolean => typeof value === "string";
const isListOf =
  (fits: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    Array.isArray(value) && value.every(fits);
/** A time that there is. */
const isTime = (value: unknown): boolean => typeof value === "number" && Math.abs(value) <= 8.64e15;
const isData = (value: unknown): boolean =>
  Array.isArray(value) && isText(value[0]) && isText(value[1]) && isNumber(value[2]);
const isWord =
  (...words: readonly string[]) =>
  (value: unknown): boolean =>
    typeof value === "string" && words.includes(value);

/** What each kind of entry must have, beside its time. */
const required: Readonly<Record<JournalEntry["e"], Readonly<Record<string, (value: unknown) => boolean>>>> = {
  run: { run: isText, definition: isRecord, inputs: isRecord, tags: isRecord, by: isRecord },
  resume: { by: isRecord },
  locks: { models: isNumber, waitedMs: isNumber },
  job: { j: isNumber, s: isWord("running", "succeeded", "failed", "skipped", "cancelled") },
  expand: { n: isNumber, first: isNumber, names: isListOf(isText) },
  wait: { n: isNumber, model: isText },
  start: { n: isNumber, a: isNumber },
  retry: { n: isNumber, a: isNumber, error: isText },
  end: { n: isNumber, s: isWord("succeeded", "failed", "skipped", "cancelled") },
  again: { steps: isListOf(isNumber), jobs: isListOf(isNumber) },
  done: { s: isWord("succeeded", "failed", "cancelled") },
};

/** What it may have. */
const optional: Readonly<Record<string, (value: unknown) => boolean>> = {
  ...{ error: isText, why: isText, by: (value: unknown) => isText(value) || isRecord(value), model: isText },
  ...{ out: isText, child: isText, parent: isRecord, items: isListOf(() => true), data: isListOf(isData) },
  paused: isNumber,
};

function isEntry(value: unknown): value is JournalEntry {
  if (!isRecord(value) || !isTime(value["at"]) || typeof value["e"] !== "string") return false;
  if (!Object.hasOwn(required, value["e"])) return false;
  // The line above has made sure that it is one of them.
  const fields = required[value["e"] as JournalEntry["e"]];
  return (
    Object.entries(fields).every(([key, fits]) => fits(value[key])) &&
    Object.entries(optional).every(([key, fits]) => value[key] === undefined || fits(value[key]))
  );
}
