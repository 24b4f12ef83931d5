/**
 * YAML for the small documents that every run writes (records, metadata): the same text as the library's, without its cost. Only for values
 * of which it is certain how they are written; everything else is left to the library.
 */

/** Words that YAML, old or new, reads as something else than text. */
const reserved = /^(y|n|yes|no|on|off|true|false|null)$/i;
/** A word, a path, a media type. (`.inf` and `.nan` would be numbers.) */
const word = /^(?:[A-Za-z]|\/[A-Za-z]|\.[A-Za-z]{4})[\w./@-]*$/;
/** Words on one line, too few for a fold. */
const phrase = /^[A-Za-z][\w./@-]*(?: [\w./@][\w./@-]*)+$/;
const longestPhrase = 40;
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const dotted = /^\d+\.\d+\.\d+(\.\d+)*$/;
/** A hash: with such a letter in it, and not a binary number's, it can't be a number. */
const hash = /^(?!0b)[0-9a-f]*[abcdf][0-9a-f]*$/;
const timestamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** Undefined where the library must write it. */
export function plainYaml(value: Readonly<Record<string, unknown>>): string | undefined {
  const lines: string[] = [];
  return Object.keys(value).length > 0 && writeMap(value, "", lines) ? `${lines.join("\n")}\n` : undefined;
}

function writeMap(map: object, indent: string, lines: string[]): boolean {
  return Object.entries(map).every(([name, value]) => {
    const key = asText(name);
    return key !== undefined && writeValue(value, `${indent}${key}:`, indent, lines);
  });
}

/** `head` is what stands before the value on its line. */
function writeValue(value: unknown, head: string, indent: string, lines: string[]): boolean {
  if (typeof value !== "object" || value === null) {
    const text = asScalar(value);
    if (text !== undefined) lines.push(`${head} ${text}`);
    return text !== undefined;
  }
  if (Array.isArray(value)) {
    if (value.length === 0) return lines.push(`${head} []`) > 0;
    lines.push(head);
    return value.every((item: unknown) => writeItem(item, `${indent}  `, lines));
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return false;
  if (Object.keys(value).length === 0) return lines.push(`${head} {}`) > 0;
  lines.push(head);
  return writeMap(value, `${indent}  `, lines);
}

function writeItem(item: unknown, indent: string, lines: string[]): boolean {
  if (typeof item !== "object" || item === null) return writeValue(item, `${indent}-`, indent, lines);
  if (Array.isArray(item) || Object.keys(item).length === 0) return false;
  const first = lines.length;
  if (Object.getPrototypeOf(item) !== Object.prototype || !writeMap(item, `${indent}  `, lines)) return false;
  // The first key stands behind the dash.
  lines[first] = `${indent}- ${(lines[first] ?? "").slice(indent.length + 2)}`;
  return true;
}

function asScalar(value: unknown): string | undefined {
  if (typeof value === "string") return asText(value);
  if (typeof value === "boolean") return String(value);
  return Number.isSafeInteger(value) && !Object.is(value, -0) ? String(value) : undefined;
}

function asText(text: string): string | undefined {
  if (timestamp.test(text)) return `'${text}'`;
  if (text.length > 512) return undefined;
  const isPhrase = text.length <= longestPhrase && phrase.test(text);
  const isPlain = isPhrase || uuid.test(text) || dotted.test(text) || hash.test(text) || word.test(text);
  return isPlain && !reserved.test(text) ? text : undefined;
}
