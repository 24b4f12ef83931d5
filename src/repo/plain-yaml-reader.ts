/**
 * Reads YAML that is nothing but maps of short texts and numbers, as most definitions and markers are: the same values as the library's, without loading it. Whatever
 * isn't certain (lists, text over several lines, anchors, escapes, a mistake) is left to the library.
 */

const longest = 16 * 1024;
/** `key: value`, `key:`; a key that can be nothing else than text. */
const entry = /^( *)([A-Za-z][\w-]*):(?: +(\S.*?))? *$/;
/** As a key or alone these may be something else than text, in YAML old or new. */
const reserved = /^(?:y|n|yes|no|on|off|true|false|null)$/i;
/** Begins with a letter, and holds nothing that means something inside of a text. */
const words = /^[A-Za-z][\w ./@=,+;()$-]*$/;
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const dotted = /^\d+\.\d+\.\d+(?:\.\d+)*$/;
const timestamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const whole = /^(?:0|[1-9]\d{0,14})$/;
/** ASCII without an escape, a quote, or a quote that is escaped by another. */
const quoted = /^(?:"([ !#-[\]-~]*)"|'([ -&(-~]*)')$/;

interface Level {
  readonly indent: number;
  readonly map: Record<string, unknown>;
}

/** Undefined where the library must read it. */
export function readPlainYaml(text: string): Readonly<Record<string, unknown>> | undefined {
  if (text.length > longest) return undefined;
  const top: Level = { indent: 0, map: {} };
  const levels = [top];
  /** A key without a value so far: the map below it must follow. */
  let open: Level | undefined;
  for (const line of text.split("\n")) {
    if (/^ *(?:#|$)/.test(line)) continue;
    const [, { length: indent } = "", key = "", value] = entry.exec(line) ?? [];
    if (key === "" || reserved.test(key)) return undefined;
    if (open !== undefined) {
      if (indent <= open.indent) return undefined;
      levels.push({ indent, map: open.map });
      open = undefined;
    }
    while (levels.length > 1 && indent < (levels.at(-1)?.indent ?? 0)) levels.pop();
    const level = levels.at(-1) ?? top;
    if (indent !== level.indent || Object.hasOwn(level.map, key)) return undefined;
    if (value === undefined) {
      open = { indent, map: {} };
      level.map[key] = open.map;
      continue;
    }
    const read = scalar(value);
    if (read === undefined) return undefined;
    level.map[key] = read;
  }
  return open !== undefined || Object.keys(top.map).length === 0 ? undefined : top.map;
}

function scalar(value: string): unknown {
  if (value === "{}") return {};
  if (value === "[]") return [];
  if (value === "true" || value === "false") return value === "true";
  if (whole.test(value)) return Number(value);
  const [, double, single] = quoted.exec(value) ?? [];
  if (double !== undefined || single !== undefined) return double ?? single;
  const isText =
    (words.test(value) && !reserved.test(value)) || [uuid, dotted, timestamp].some((one) => one.test(value));
  return isText ? value : undefined;
}
