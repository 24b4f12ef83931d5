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
const token = /<!--[\s\S]*?-->|<\?[\s\S]*?\?>|<!\[CDATA\[([\s\S]*?)\]\]>|<(\/?)([^\s/>]+)[^>]*?(\/?)>|([^<]+)/gy;

/** The outermost element. */
export function parseXml(document: string): Element | undefined {
  const root: Open = { name: "", text: "", children: [] };
  const open: Open[] = [root];
  let at = 0;
  for (const match of document.replace(/^\uFEFF/, "").matchAll(token)) {
    if (match.index !== at) return undefined;
    at += match[0].length;
    const [, data, closing, name, empty, text] = match;
    const inner = open.at(-1);
    if (inner === undefined || open.length > maxDepth) return undefined;
    if (data !== undefined) inner.text += data;
    else if (text !== undefined) inner.text += unescape(text);
    else if (name === undefined) continue;
    else if (closing === "/") {
      if (inner.name !== name || open.length < 2) return undefined;
      open.pop();
      open.at(-1)?.children.push(inner);
    } else if (empty === "/") inner.children.push({ name, text: "", children: [] });
    else open.push({ name, text: "", children: [] });
  }
  return open.length === 1 && root.children.length === 1 && at === document.replace(/^\uFEFF/, "").length
    ? root.children[0]
    : undefined;
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
