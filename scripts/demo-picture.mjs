// Runs the demo and draws what it printed as docs/demo.svg.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const done = spawnSync(process.execPath, [`${root}/dist/fen.cjs`, "demo"], {
  encoding: "utf8",
  env: { ...process.env, FORCE_COLOR: "1" },
});
if (done.status !== 0) throw new Error(done.stderr);
const all = done.stdout.replaceAll(/fen-demo-\w+/g, "fen-demo").split("\n");
const firstBar = all.findIndex((line) => /[░█]/.test(line));
const lines = ["$ npx fen demo", ...all.slice(0, 1), "", ...all.slice(firstBar)];
const colors = { 31: "#ff7b72", 32: "#3fb950", 33: "#d29922", 36: "#39c5cf", 2: "#8b949e", 1: "#ffffff" };
const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const escapeCode = String.fromCodePoint(27);
const colorCode = new RegExp(`(${escapeCode}\\[\\d+m)`);
const tspan = (line) => {
  let color = "#e6edf3";
  return line
    .split(colorCode)
    .map((piece) => {
      const code = colorCode.test(piece) ? piece.slice(2, -1) : undefined;
      if (code === undefined) return piece === "" ? "" : `<tspan fill="${color}">${escape(piece)}</tspan>`;
      color = colors[code] ?? "#e6edf3";
      return "";
    })
    .join("");
};
const height = 20 + lines.length * 17;
const text = lines
  .map((line, index) => `<text x="14" y="${24 + index * 17}" xml:space="preserve">${tspan(line)}</text>`)
  .join("\n");
writeFileSync(
  `${root}/docs/demo.svg`,
  `<svg xmlns="http://www.w3.org/2000/svg" width="900" height="${height}" viewBox="0 0 900 ${height}" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13">\n<rect width="900" height="${height}" rx="8" fill="#0d1117"/>\n${text}\n</svg>\n`,
);
