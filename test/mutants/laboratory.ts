/** Copies of the source in a scratch folder, one with each planted bug, and the tests run in them. */
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Mutant } from "./mutant.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const copied = ["src", "test/support"];
/** What vitest and the clock that is turned by hand say of one that hangs. */
const hung = /timed out in|STACK_TRACE_ERROR|waited in vain/;
const limitMs = 60_000;

export interface Verdict {
  readonly found: boolean;
  /** How the check failed: by what it expected, or because it hung. */
  readonly by: "assertion" | "time limit" | "nothing";
  readonly seconds: number;
  /** What the check said, or why there is no verdict. */
  readonly why: string;
}

interface Outcome {
  readonly title: string;
  readonly status: string;
  readonly message: string;
}

export class Laboratory {
  readonly #folder = mkdtempSync(join(tmpdir(), "fen-mutants-"));
  readonly #free: string[] = [];
  #copies = 0;
  #healthy: ReadonlySet<string> = new Set();

  constructor() {
    symlinkSync(join(root, "node_modules"), join(this.#folder, "node_modules"));
    writeFileSync(join(this.#folder, "package.json"), `{"type":"module"}`);
    // What wasn't changed needn't be translated each time.
    const cache = `fsModuleCache: true, fsModuleCachePath: ${JSON.stringify(join(this.#folder, "cache"))}`;
    const config = `export default { test: { testTimeout: 10_000, experimental: { ${cache} } } };\n`;
    writeFileSync(join(this.#folder, "vitest.config.mjs"), config);
  }

  /** All checks on a copy without any bug: they must pass, or what they say of the others means nothing. */
  async passHealthy(checks: readonly string[]): Promise<void> {
    const outcomes = await this.#run(this.#copy(), checks.map(fileOf), {});
    const failed = outcomes?.filter((one) => one.status !== "passed") ?? [];
    if (outcomes === undefined || failed.length > 0)
      throw new Error(`without any bug these fail: ${JSON.stringify(failed.map((one) => one.title))}`);
    this.#healthy = new Set(outcomes.map((one) => one.title));
  }

  async plant(mutant: Mutant): Promise<Verdict> {
    if (![...this.#healthy].some((title) => title.startsWith(mutant.test)))
      throw new Error(`no test is called ${mutant.test}`);
    const start = performance.now();
    const outcomes = await this.#withPatch(mutant, (copy) =>
      this.#run(copy, [fileOf(mutant.check)], { title: mutant.test }),
    );
    const seconds = (performance.now() - start) / 1000;
    if (outcomes === undefined) return { found: true, by: "time limit", seconds, why: "the check had to be ended" };
    const failed = outcomes.find((one) => one.title.startsWith(mutant.test) && one.status === "failed");
    if (failed === undefined)
      return {
        found: false,
        by: "nothing",
        seconds,
        why: `nothing failed of ${JSON.stringify(outcomes.map((one) => one.title))}`,
      };
    // A bug must be wrong, not gibberish.
    if (/^(Reference|Syntax)Error/.test(failed.message))
      return { found: false, by: "nothing", seconds, why: failed.message };
    return {
      found: true,
      by: hung.test(failed.message) ? "time limit" : "assertion",
      seconds,
      why: failed.message,
    };
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** In a copy that is nobody else's meanwhile, and healthy again afterwards. */
  async #withPatch<T>(mutant: Mutant, work: (copy: string) => Promise<T>): Promise<T> {
    const copy = this.#free.pop() ?? this.#copy();
    const path = join(copy, "src", mutant.file);
    const healthy = readFileSync(path, "utf8");
    try {
      writeFileSync(path, patched(healthy, mutant));
      return await work(copy);
    } finally {
      writeFileSync(path, healthy);
      this.#free.push(copy);
    }
  }

  #copy(): string {
    const copy = join(this.#folder, String(++this.#copies));
    mkdirSync(copy);
    for (const part of copied) cpSync(join(root, part), join(copy, part), { recursive: true });
    return copy;
  }

  /** How the tests of these files ended; undefined where they had to be ended. */
  async #run(
    copy: string,
    files: readonly string[],
    only: { readonly title?: string },
  ): Promise<Outcome[] | undefined> {
    const result = `${copy}.json`;
    rmSync(result, { force: true });
    const filter = only.title === undefined ? [] : ["-t", only.title.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")];
    const isDone = await runVitest(this.#folder, [
      ...["run", "--root", this.#folder, "--config", join(this.#folder, "vitest.config.mjs")],
      ...["--pool", "threads", "--maxWorkers", "1"],
      ...["--reporter", "json", "--outputFile", result, ...filter, ...files.map((file) => join(copy, file))],
    ]);
    if (!isDone) return undefined;
    if (!existsSync(result)) throw new Error("the tests didn't run");
    return outcomesOf(readFileSync(result, "utf8"));
  }
}

function fileOf(check: string): string {
  return `src/${check}.test.ts`;
}

/** The source with a bug. Throws where its text isn't there exactly once. */
export function patched(text: string, { name, file, from, to }: Mutant): string {
  const parts = text.split(from);
  if (parts.length !== 2)
    throw new Error(`"${name}": its text must be in ${file} exactly once, but is there ${parts.length - 1} times`);
  return parts.join(to);
}

/** False where it had to be ended. */
function runVitest(cwd: string, args: readonly string[]): Promise<boolean> {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(VITEST|NODE_EXTRA_CA_CERTS|NODE_ENV|TEST$|MODE$|DEV$|PROD$|SSR$|BASE_URL$)/.test(name),
    ),
  );
  const program = join(root, "node_modules/vitest/vitest.mjs");
  const child = spawn(process.execPath, [program, ...args], { cwd, env, stdio: "ignore", detached: true });
  return new Promise((resolve, reject) => {
    let isEnded = false;
    const alarm = setTimeout(() => {
      isEnded = true;
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, limitMs);
    child.on("error", reject);
    child.on("close", () => {
      clearTimeout(alarm);
      resolve(!isEnded);
    });
  });
}

interface JsonReport {
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly {
      readonly title: string;
      readonly status: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

function outcomesOf(json: string): Outcome[] {
  const { testResults }: JsonReport = JSON.parse(json);
  return testResults.flatMap(({ message, assertionResults }) => {
    if (assertionResults.length === 0) throw new Error(`the tests couldn't be loaded: ${message}`);
    return assertionResults
      .filter(({ status }) => status === "passed" || status === "failed")
      .map(({ title, status, failureMessages }) => ({ title, status, message: failureMessages.join("\n") }));
  });
}
