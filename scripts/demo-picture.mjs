// Runs the demo and draws what it printed at its end as docs/demo.svg: text on a grid of cells, bars as rectangles, so that any font will do.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const done = spawnSync("npx", ["fen", "demo"], {
  cwd: root,
  encoding: "utf8",
  env: { ...process.env, FORCE_COLOR: "1" },
});
if (done.status !== 0) throw new Error(done.stderr);

const printed = done.stdout.split("\n");
const firstRow = printed.findIndex((line) => line.includes("█"));
const lastRow = printed.findIndex((line) => line.includes("times as long"));
const lines = [
  { text: "$ npx fen demo", bold: true },
  ...printed.slice(0, 2).map((text) => ({ text })),
  { text: "" },
  ...printed.slice(firstRow, lastRow + 1).map((text) => ({ text })),
];

const cell = { width: 8.4, height: 19 };
const margin = { side: 26, top: 58, bottom: 22 };
const size = {
  width: 102 * cell.width + 2 * margin.side,
  height: margin.top + lines.length * cell.height + margin.bottom,
};
const ink = { 0: "#e6edf3", 1: "#ffffff", 2: "#7d8590", 31: "#ff7b72", 32: "#3fb950", 33: "#e3b341", 36: "#56d4dd" };
const control = String.fromCodePoint(27);
const tokens = new RegExp(`${control}\\[\\d+m|█+|░+|·+|[^${control}█░·]+`, "g");
const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const round = (number) => Number(number.toFixed(1));

/** Pieces of one colour and one kind, with the column at which each begins. */
function pieces(line) {
  const found = [];
  let color = 0;
  let column = 0;
  for (const [token] of line.matchAll(tokens)) {
    if (token.startsWith(control)) {
      const code = Number(token.slice(2, -1));
      color = ink[code] === undefined ? 0 : code;
    } else {
      found.push({ token, color: ink[color], bold: color === 1, column });
      column += token.length;
    }
  }
  return found;
}

function draw({ token, color, bold, column }, y) {
  const x = round(margin.side + column * cell.width);
  const width = round(token.length * cell.width);
  const bar = (height, rest) =>
    `<rect x="${x}" y="${round(y + (cell.height - height) / 2)}" width="${width}" height="${height}" ${rest}/>`;
  if (token.startsWith("█")) return bar(13, `rx="2.5" fill="${color}"`);
  if (token.startsWith("░")) return bar(13, `rx="2.5" fill="url(#waits)"`);
  if (token.startsWith("·")) return bar(2, `rx="1" fill="#484f58"`);
  if (token.trim() === "") return "";
  const lead = token.length - token.trimStart().length;
  const word = token.trim();
  const at = round(x + lead * cell.width);
  return `<text x="${at}" y="${round(y + 14)}" textLength="${round(word.length * cell.width)}" fill="${color}"${bold ? ' font-weight="bold"' : ""} xml:space="preserve">${escape(word)}</text>`;
}

const drawn = lines.flatMap(({ text, bold }, row) =>
  pieces(text).map((piece) => draw({ ...piece, bold: bold || piece.bold }, margin.top + row * cell.height)),
);
const dots = ["#ff5f57", "#febc2e", "#28c840"].map(
  (fill, index) => `<circle cx="${26 + index * 20}" cy="24" r="6" fill="${fill}"/>`,
);
const svg = [
  `<svg xmlns="http://www.w3.org/2000/svg" width="${round(size.width)}" height="${size.height}" viewBox="0 0 ${round(size.width)} ${size.height}" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" role="img">`,
  "<title>The end of a run of fen demo: one bar for each call, and the two times beside each other</title>",
  '<defs><pattern id="waits" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="#e3b341" fill-opacity="0.18"/><rect width="2" height="6" fill="#e3b341" fill-opacity="0.75"/></pattern></defs>',
  `<rect width="${round(size.width)}" height="${size.height}" rx="10" fill="#0d1117"/>`,
  ...dots,
  ...drawn.filter((part) => part !== ""),
  "</svg>",
  "",
];
writeFileSync(join(root, "docs/demo.svg"), svg.join("\n"));
