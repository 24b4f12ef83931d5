/** Reads the keys of one map of a YAML document. What isn't as it must be becomes a finding; the reader then gives undefined, so that everything is told at once. */
import type { Findings } from "./findings.ts";
import { isRecord, suggestKey, type YamlPath } from "./yaml.ts";

/** What every key may say of itself. */
interface Need {
  readonly required?: boolean;
  /** How it is written, for example. */
  readonly hint?: string;
}

export class MapReader {
  readonly map: Readonly<Record<string, unknown>>;
  readonly at: YamlPath;
  readonly findings: Findings;

  constructor(map: Readonly<Record<string, unknown>>, at: YamlPath, findings: Findings) {
    this.map = map;
    this.at = at;
    this.findings = findings;
  }

  error(key: string, message: string, hint?: string): undefined {
    this.findings.error([...this.at, key], message, hint);
  }

  /** Text that isn't empty. */
  text(key: string, need: Need = {}): string | undefined {
    return this.read(key, need, "text that isn't empty", (value) =>
      typeof value === "string" && value !== "" ? value : undefined,
    );
  }

  /** Any text. */
  prose(key: string): string | undefined {
    return this.read(key, {}, "text", (value) => (typeof value === "string" ? value : undefined));
  }

  number(key: string): number | undefined {
    return this.read(key, {}, "a number", (value) => (Number.isFinite(value) ? Number(value) : undefined));
  }

  whole(key: string, from: number, need: Need & { readonly to?: number } = {}): number | undefined {
    const { to = Number.MAX_SAFE_INTEGER } = need;
    const range = need.to === undefined ? `from ${from}` : `from ${from} to ${to}`;
    return this.read(key, need, `a whole number ${range}`, (value) =>
      typeof value === "number" && Number.isInteger(value) && value >= from && value <= to ? value : undefined,
    );
  }

  flag(key: string): boolean | undefined {
    return this.read(key, {}, "true or false", (value) => (typeof value === "boolean" ? value : undefined));
  }

  /** One of some words. */
  choice<const Word extends string>(key: string, words: readonly Word[], need: Need = {}): Word | undefined {
    const wordOf = (value: unknown) => words.find((word) => word === value);
    const given = this.map[key];
    const hint = typeof given === "string" && wordOf(given) === undefined ? suggestWord(given, words) : undefined;
    return this.read(key, { ...(hint === undefined ? {} : { hint }), ...need }, `one of ${words.join(", ")}`, wordOf);
  }

  record(key: string, need: Need = {}): Readonly<Record<string, unknown>> | undefined {
    return this.read(key, need, "a map", (value) => (isRecord(value) ? value : undefined));
  }

  /** The map at a key, to be read on. */
  inner(key: string, need: Need = {}): MapReader | undefined {
    const map = this.record(key, need);
    return map === undefined ? undefined : new MapReader(map, [...this.at, key], this.findings);
  }

  /** Elements of a list, each a map to be read on. What else stands there is told and left out. */
  maps(key: string, what: string, need: Need & { readonly least?: number } = {}): MapReader[] {
    const { least = 0 } = need;
    const list = this.read(key, need, "a list", (value) => (Array.isArray(value) ? value : undefined));
    if (list !== undefined && list.length < least)
      this.error(key, `${key} needs at least ${least === 1 ? `one ${what}` : `${least} ${what}s`}`, need.hint);
    return (list ?? []).flatMap((item: unknown, index) => {
      if (isRecord(item)) return [new MapReader(item, [...this.at, key, index], this.findings)];
      this.findings.error([...this.at, key, index], `${what} must be a map`, need.hint);
      return [];
    });
  }

  /** The value at a key as `as` takes it; undefined and an error where it takes nothing. */
  read<T>(key: string, need: Need, what: string, as: (value: unknown) => T | undefined): T | undefined {
    const value = this.map[key];
    if (value === undefined)
      return need.required === true ? this.error(key, `${key} is missing`, need.hint) : undefined;
    const taken = as(value);
    if (taken !== undefined) return taken;
    if (value !== null) return this.error(key, `${key} must be ${what}`, need.hint);
    return this.error(key, `${key} has no value: it must be ${what}`, need.hint ?? "Give it one, or leave it out.");
  }
}

function suggestWord(word: string, words: readonly string[]): string | undefined {
  const hint = suggestKey(word, words);
  return hint.startsWith("Did") ? hint : undefined;
}
