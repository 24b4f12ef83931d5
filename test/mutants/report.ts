/** What was found, as a table for people: on the screen and in docs/lock-report.md. */
import type { Verdict } from "./laboratory.ts";
import type { Mutant } from "./mutant.ts";

export function table(verdicts: ReadonlyMap<Mutant, Verdict>): string {
  const rows = [...verdicts].map(([{ name, scenarios, file, check, test }, { by, seconds }]) => {
    const found =
      by === "nothing"
        ? "NOT FOUND"
        : `${check.split("/").at(-1)}: ${test}${by === "time limit" ? " (hangs; its time limit)" : ""}`;
    return [
      name,
      file.split("/").at(-1) ?? "",
      scenarios.map((number) => `lock-${number}`).join(" "),
      found,
      seconds.toFixed(1),
    ];
  });
  const lines = [["planted bug", "in", "scenario", "found by", "s"], ["---", "---", "---", "---", "---:"], ...rows];
  return lines.map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`).join("\n");
}

const heading = "## Planted bugs";

export const section = {
  /** The report with this section put in place of the old one, or at its end. */
  replace(report: string, verdicts: ReadonlyMap<Mutant, Verdict>): string {
    const start = report.indexOf(heading);
    const before = (start < 0 ? report : report.slice(0, start)).trimEnd();
    const next = start < 0 ? -1 : report.indexOf("\n## ", start + 1);
    const after = next < 0 ? "" : report.slice(next);
    return `${before}\n\n${text(verdicts)}\n${after}`;
  },
};

function text(verdicts: ReadonlyMap<Mutant, Verdict>): string {
  const all = [...verdicts.values()];
  const found = all.filter((verdict) => verdict.found).length;
  const slowest = Math.max(...all.map((verdict) => verdict.seconds));
  const hanging = all.filter((verdict) => verdict.by === "time limit").length;
  return `${heading}

\`npm run mutants\` plants each of these bugs in a copy of the source, one at a time (\`npm test\` one in eight, other ones each day), and runs the named check there: ${found} of ${all.length} were found, the slowest
in ${slowest.toFixed(0)} s (the limit is 60 s). A bug whose text is no longer in the source exactly once, and a check that doesn't pass without any bug, fail too. ${hanging} of them
make a check hang: they are found by its time limit.

${table(verdicts)}`;
}
