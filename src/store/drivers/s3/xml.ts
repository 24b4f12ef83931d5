/** The little of XML that S3 speaks: elements and text. Attributes are left out; what isn't well-formed gives undefined. */
export interface Element {
  readonly name: string;
  readonly text: string;
  readonly children: readonly Element[];
}

interface Open {
  readonly name: string;
  text: string;
  readonly children: Element[];
}

const maxDepth = 16;

/** The outermost element. Lists are long: each character is looked at once or twice. */
export function parseXml(document: string): Element | undefined {
  const text = document.replace(/^\uFEFF/, "");
  const root: Open = { name: "", text: "", children: [] };
  const open: Open[] = [root];
  for (let at = 0; at < text.length;) {
    const inner = open.at(-1);
    if (inner === undefined || open.length > maxDepth) return undefined;
    const markup = text.indexOf("<", at);
    if (markup !== at) {
      const end = markup < 0 ? text.length : markup;
      inner.text += unescape(text.slice(at, end));
      at = end;
      continue;
    }
    const [start, close] = text[at + 1] === "!" || text[at + 1] === "?" ? specialAt(text, at) : ["<", ">"];
    const end = text.indexOf(close, at + start.length);
    if (end < 0) return undefined;
    const within = text.slice(at + start.length, end);
    at = end + close.length;
    if (start === "<![CDATA[") inner.text += within;
    else if (start === "<" && !readTag(within, inner, open)) return undefined;
  }
  return open.length === 1 && root.children.length === 1 ? root.children[0] : undefined;
}

/** How what is no element begins and ends; what is none of these is read as a tag. */
function specialAt(text: string, at: number): readonly [string, string] {
  return specials.find(([start]) => text.startsWith(start, at)) ?? ["<", ">"];
}
const specials = [
  ["<!--", "-->"],
  ["<![CDATA[", "]]>"],
  ["<?", "?>"],
] as const;

/** False where it has no name, or ends what isn't open. */
function readTag(tag: string, inner: Open, open: Open[]): boolean {
  if (tag.startsWith("/")) {
    if (open.length < 2 || inner.name !== tag.slice(1).trimEnd()) return false;
    open.pop();
    open.at(-1)?.children.push(inner);
    return true;
  }
  const isEmpty = tag.endsWith("/");
  const [name = ""] = /^[^\s/]*/.exec(tag) ?? [];
  const element = { name, text: "", children: [] };
  if (isEmpty) inner.children.push(element);
  else open.push(element);
  return name !== "";
}

/** The first child of that name. */
export function child(element: Element | undefined, name: string): Element | undefined {
  return element?.children.find((one) => one.name === name);
}

/** The text of the first child of that name. */
export function textOf(element: Element | undefined, name: string): string | undefined {
  return child(element, name)?.text;
}

const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

function unescape(text: string): string {
  if (!text.includes("&")) return text;
  return text.replaceAll(/&(#x[0-9a-f]+|#\d+|\w+);/gi, (whole, name: string) => {
    if (!name.startsWith("#")) return entities[name] ?? whole;
    const point = name[1]?.toLowerCase() === "x" ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
    return point <= 0x10ffff ? String.fromCodePoint(point) : whole;
  });
}

/** Text that may stand in an element. */
export function escapeXml(text: string): string {
  return text.replaceAll(/[&<>"'\r]/g, (char) => `&#${char.charCodeAt(0)};`);
}
