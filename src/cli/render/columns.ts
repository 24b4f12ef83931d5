/** How many columns of a terminal a text takes, and texts that take no more than they may. */
const escape = String.fromCodePoint(0x1b);
const bell = String.fromCodePoint(0x07);
/** What terminals are told with: colours and movements, titles and links, single letters. */
const orders = new RegExp(
  `${escape}(?:\\[[0-?]*[ -/]*[@-~]|\\][^${bell}${escape}]*(?:${bell}|${escape}\\\\)?|[@-_])?`,
  "g",
);
const plain = /^[\u0020-\u007E]*$/;
/** Written over the character before them, or not at all. */
const nothing = /[\p{M}\p{Cf}\p{Cc}]/u;
/** Ranges of code points that take two columns. */
const wide: readonly (readonly [from: number, to: number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0xa4cf],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x1f300, 0x1f64f],
  [0x1f680, 0x1f6ff],
  [0x1f900, 0x1f9ff],
  [0x20000, 0x3fffd],
];

/** All that a message of several lines says, on one; without carets that point at what stands above them. */
export function onOneLine(message: string): string {
  const lines = message.split("\n").map((line) => line.trim());
  return printable(lines.filter((line) => line !== "" && line !== "^").join(" "));
}

/** Without anything that a terminal would take for an order. */
export function printable(text: string): string {
  if (plain.test(text)) return text;
  return text
    .replaceAll(orders, "")
    .replaceAll("\t", "  ")
    .replaceAll(/[\p{Cc}\p{Cf}]/gu, "");
}

/** Sequences that `Console` paints with: bold, dim, colours, and the ends of them. */
const ownColors = new RegExp(`(${escape}\\[(?:1|2|22|3[1-6]|39)m)`);

/** As `printable`, but colours stay. Of one line. */
export function printableLine(line: string): string {
  if (plain.test(line)) return line;
  return line
    .split(ownColors)
    .map((part, at) => (at % 2 === 1 ? part : printable(part)))
    .join("");
}

/** As `printableLine`, of each of the lines: what comes out of a file moves no cursor, rings no bell and sets no title. */
export function printableLines(text: string): string {
  return text.split("\n").map(printableLine).join("\n");
}

/** Of printable text. */
export function columnsOf(text: string): number {
  if (plain.test(text)) return text.length;
  let columns = 0;
  for (const char of text) columns += columnsOfChar(char);
  return columns;
}

function columnsOfChar(char: string): number {
  const point = char.codePointAt(0) ?? 0;
  if (nothing.test(char)) return 0;
  return wide.some(([from, to]) => point >= from && point <= to) ? 2 : 1;
}

/** At most `width` columns; what is cut off is shown by an ellipsis. */
export function clipColumns(text: string, width: number): string {
  if (columnsOf(text) <= width) return text;
  if (width <= 0) return "";
  let columns = 0;
  let clipped = "";
  for (const char of text) {
    columns += columnsOfChar(char);
    if (columns > width - 1) break;
    clipped += char;
  }
  return `${clipped}…`;
}

/** Text with the colour that it gets. */
export type Part = readonly [text: string, paint?: (text: string) => string];

/** Parts side by side, clipped to `width` columns together. Colours don't count. */
export function fitted(parts: readonly Part[], width: number): string {
  let left = width;
  let line = "";
  for (const [raw, paint] of parts) {
    const text = clipColumns(printable(raw), left);
    left -= columnsOf(text);
    line += paint === undefined || text === "" ? text : paint(text);
    if (left <= 0) break;
  }
  return line;
}
