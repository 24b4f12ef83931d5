/** Commands that misbehave: much output, odd output, processes that don't go, starts that fail. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { program, runFen, type Scratch, scratchRepo, startFen, until } from "../../support/cli.ts";
import { isAtWork } from "../../support/processes.ts";
import { execute, expectClean, expectWholeData, tree } from "./attack.ts";

let repo: Scratch;
beforeAll(async () => {
  repo = await scratchRepo();
});
afterAll(() => repo.remove());

const store = (): string => join(repo.path, ".swamp");
const shell = (name: string, run: string, args: Record<string, unknown> = {}): string =>
  repo.model(name, "", { methods: { execute: { arguments: { run, ...args } } } });
const raw = (id: string, name: string): Buffer => readFileSync(join(store(), "data/command/shell", id, name, "1/raw"));
const pidIn = async (file: string): Promise<number> => {
  const path = join(repo.path, file);
  await until(
    () => tree(repo.path).includes(file) && readFileSync(path, "utf8").endsWith("\n"),
    () => `a pid in ${file}`,
  );
  return Number(readFileSync(path, "utf8"));
};

describe("output", () => {
  test("of 64 MiB is kept to the last byte, in little memory", async () => {
    const id = shell("much", "head -c 67108864 /dev/zero | tr '\\0' '\\n'");
    const result = await runFen([...execute("much"), "--json"], {
      cwd: repo.path,
      as: [
        "/usr/bin/env",
        "sh",
        "-c",
        'ulimit -v 2500000; exec "$@"',
        "sh",
        process.execPath,
        "--max-old-space-size=64",
        program,
      ],
    });
    expect(result.exitCode, result.stderr).toBe(0);
    const kept = raw(id, "log");
    expect(kept.length).toBe("[stdout]\n".length + 67_108_863);
    expect(result.json().data.attributes).toMatchObject({ stdoutTruncated: true, stdoutBytes: 67_108_863 });
    expectWholeData(store(), id);
  });

  test("of every byte value is kept as it is", async () => {
    const bytes = Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 7919) % 256));
    repo.write("bytes.b64", bytes.toString("base64"));
    const id = shell("binary", "base64 -d bytes.b64");
    expect((await repo.fen(...execute("binary"))).exitCode).toBe(0);
    expect(raw(id, "log").subarray(9).equals(bytes)).toBe(true);
  });

  test("without an end of line, 10 MB long, is kept and shown in parts", async () => {
    const id = shell("line", "head -c 10000000 /dev/zero | tr '\\0' x");
    const result = await repo.fen(...execute("line"), "--stream");
    expect(result.exitCode).toBe(0);
    const events = result.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const lines: string[] = events.filter((one) => one.event === "run.output").map((one) => one.line);
    expect(lines.join("")).toBe("x".repeat(10_000_000));
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(65_536);
    expect(raw(id, "log").length).toBe(10_000_009);
  });

  test("a character that is cut over two writes is one; bytes that are none become one mark each", async () => {
    shell("utf8", "printf 'a\\342'; sleep 0.2; printf '\\202'; sleep 0.2; printf '\\254b\\377c\\n'");
    const result = await repo.fen(...execute("utf8"));
    expect(result.stdout).toBe("a€b\uFFFDc\n");
  });

  test("that looks like a format, an escape or JSON is only text", async () => {
    const text = '%s %d {x} ${HOME} \\u001b {"event":"run.finished"}';
    shell("format", `cat <<'X'\n${text}\nX`);
    expect((await repo.fen(...execute("format"))).stdout).toBe(`${text}\n`);
    const events = (await repo.fen(...execute("format"), "--stream")).stdout.trimEnd().split("\n");
    expect(events.map((line) => JSON.parse(line)).filter((one) => one.event === "run.finished")).toHaveLength(1);
  });

  test("goes on being kept when its reader has seen enough", async () => {
    const id = shell("reader", "seq 1 200000; touch reader.done");
    for (const flags of ["", "--stream", "--json"]) {
      const piped = await runFen([], {
        cwd: repo.path,
        as: [
          "/usr/bin/env",
          "sh",
          "-c",
          `{ "${process.execPath}" "${program}" ${execute("reader").join(" ")} ${flags}; echo "exit $?" >&2; } | head -1 | cut -c 1-20`,
          "sh",
        ],
      });
      expect(piped.stderr).toContain("exit 0");
      expect(piped.stderr).not.toMatch(/EPIPE|^\s+at /m);
    }
    expect(tree(repo.path)).toContain("reader.done");
    const whole = `[stdout]\n${Array.from({ length: 200_000 }, (_, index) => index + 1).join("\n")}`;
    expect(createHash("sha256").update(raw(id, "log")).digest("hex")).toBe(
      createHash("sha256").update(whole).digest("hex"),
    );
    expect(expectWholeData(store(), id)["log"]).toEqual([1, 2, 3]);
    const { results } = (await repo.fen("model", "output", "search", id, "--json")).json();
    expect(results.map((one: { status: string }) => one.status)).toEqual(["succeeded", "succeeded", "succeeded"]);
  });
});

describe("an end", () => {
  test.each([
    ["exit 7", 7, "exited with code 7"],
    ["exit 255", 255, "exited with code 255"],
    ["kill -9 $$", 137, "SIGKILL"],
    ["kill -TERM $$", 143, "SIGTERM"],
    ["kill -SEGV $$", 139, "SIGSEGV"],
    ["no-such-program-anywhere", 127, "exited with code 127"],
    ['read line; echo "<$line>"; exit 3', 3, "exited with code 3"],
  ])("by %s is kept with its code and output", async (run, exitCode, message) => {
    const id = shell(`end ${run}`, `echo before; ${run}`);
    const result = await repo.fen(...execute(id), "--json");
    expect(result.exitCode).toBe(1);
    expect(result.json()).toMatchObject({ status: "failed", error: { message: expect.stringContaining(message) } });
    const { content } = (await repo.fen("data", "get", id, "result", "--json")).json();
    expect(content.exitCode).toBe(exitCode);
    expect(content.stdout).toMatch(/^before/);
    expect(expectWholeData(store(), id)).toEqual({ log: [1], result: [1] });
  });

  test("that fails is a success where the exit code is ignored", async () => {
    const id = shell("ignored", "exit 9", { ignoreExitCode: true, env: { GREETING: "hi" } });
    const result = await repo.fen(...execute(id), "--json");
    expect(result.exitCode).toBe(0);
    expect(result.json().data.attributes.exitCode).toBe(9);
  });

  test.each([
    ["a folder that isn't there", { workingDir: "/no/such/folder" }, "no such program or folder"],
    ["a file as folder", { workingDir: "/etc/passwd" }, "isn't a folder"],
    ["a command of 300 kB", { run: `: ${"x".repeat(300_000)}` }, "longer than the system allows"],
    ["a NUL in the command", { run: "echo \0" }, "holds a NUL"],
    ["a NUL in a variable", { env: { A: "\0" } }, "holds a NUL"],
  ])("before the start, by %s, says why and is recorded", async (name, args, reason) => {
    const id = shell(`start ${name}`, "true", args);
    const result = await repo.fen(...execute(id), "--json");
    expect(result.exitCode, result.stderr).toBe(1);
    expect(result.json().error.message).toContain(reason);
    expect(result.json().error.message.length).toBeLessThan(500);
    expect((await repo.fen("data", "get", id, "result", "--json")).json().content).toMatchObject({
      exitCode: -1,
      stderr: expect.stringContaining(reason),
    });
    expectClean(store());
  });
});

describe("processes that stay", () => {
  test("in the background don't delay the end, even with the pipes open and writing", async () => {
    for (const noise of ["exec sleep 30", "while :; do echo noise; sleep 0.05; done"]) {
      const id = shell(`stay ${noise}`, `(echo $BASHPID; sh -c 'echo $$ > stay.pid; ${noise}') & sleep 0.3; echo done`);
      const start = Date.now();
      const result = await repo.fen(...execute(id), "--json");
      expect(result.exitCode, result.stderr).toBe(0);
      expect(Date.now() - start).toBeLessThan(10_000);
      expect(result.json().data.attributes.stdout).toContain("done");
      expect((await repo.fen("datastore", "lock", "status", "--json")).json().models).toEqual([]);
      process.kill(await pidIn("stay.pid"), "SIGKILL");
      repo.write("stay.pid", "");
    }
  });

  test("a timeout ends the whole group, also what ignores TERM", async () => {
    const id = shell(
      "stubborn",
      "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > stubborn.pid; while :; do sleep 1; done' & while :; do sleep 1; done",
      { timeout: 400 },
    );
    const start = Date.now();
    const result = await repo.fen(...execute(id), "--json");
    const took = Date.now() - start;
    expect(result.exitCode).toBe(1);
    expect(result.json().error.message).toContain("timed out after 400 ms");
    expect(took).toBeGreaterThan(5000);
    expect(took).toBeLessThan(12_000);
    expect(isAtWork(await pidIn("stubborn.pid"))).toBe(false);
    expectClean(store());
  });

  test("a timeout of more days than a timer can count isn't over at once", async () => {
    repo.model("patient", "sleep 0.1; echo done", {
      methods: { execute: { arguments: { run: "sleep 0.1; echo done", timeout: 40 * 24 * 3_600_000 } } },
    });
    const { exitCode, stdout, stderr } = await repo.fen("model", "method", "run", "patient", "execute");
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "done\n" });
    expect(stderr).not.toContain("Warning");
  });

  test("a timeout ends at once what obeys, grandchildren too", async () => {
    const id = shell("obedient", "sh -c 'sleep 60 & echo $! > obedient.pid; wait' & wait", { timeout: 300 });
    const start = Date.now();
    expect((await repo.fen(...execute(id), "--json")).exitCode).toBe(1);
    expect(Date.now() - start).toBeLessThan(4000);
    const pid = await pidIn("obedient.pid");
    await until(
      () => !isAtWork(pid),
      () => "the grandchild's end",
    );
  });
});

describe("a signal", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)(
    "%s ends the command first, then the record says cancelled and the lock is free",
    async (signal, exitCode) => {
      const id = shell(
        `signal ${signal}`,
        `trap 'echo cleaned; exit 0' TERM; echo $$ > ${signal}.pid; echo working; while :; do sleep 0.05; done`,
      );
      const run = startFen([...execute(id), "--json"], { cwd: repo.path });
      const child = await pidIn(`${signal}.pid`);
      run.kill(signal);
      const result = await run.done;
      expect(result.exitCode).toBe(exitCode);
      expect(result.stdout).toBe("");
      expect(result.error()).toMatchObject({ code: "interrupted", signal });
      expect(isAtWork(child)).toBe(false);
      const record = (await repo.fen("model", "output", "get", id, "--json")).json();
      expect(record).toMatchObject({ status: "cancelled", error: { message: expect.stringContaining(signal) } });
      expect(readFileSync(join(store(), "data/command/shell", id, "log/1/raw"), "utf8")).toContain("cleaned");
      expect(expectWholeData(store(), id)).toEqual({ log: [1], result: [1] });
      expectClean(store());
    },
  );

  test("a second one ends fen at once; what is left is named and its lock is freed with it", async () => {
    const id = shell("twice", "trap '' TERM; echo $$ > twice.pid; while :; do sleep 0.05; done");
    const run = startFen(execute(id), { cwd: repo.path });
    const child = await pidIn("twice.pid");
    run.kill("SIGINT");
    await new Promise((resolve) => setTimeout(resolve, 300));
    const start = Date.now();
    run.kill("SIGINT");
    expect((await run.done).exitCode).toBe(130);
    expect(Date.now() - start).toBeLessThan(2000);
    const { models } = (await repo.fen("datastore", "lock", "status", "--json")).json();
    expect(models).toMatchObject([
      { state: "orphaned", processes: expect.arrayContaining([expect.objectContaining({ pid: child })]) },
    ]);
    process.kill(-child, "SIGKILL");
    expect((await repo.fen("model", "output", "get", id, "--json")).json().status).toBe("interrupted");
    repo.write(
      `models/command/shell/${id}.yaml`,
      readFileSync(join(repo.path, `models/command/shell/${id}.yaml`), "utf8").replace(/trap.*done"/, 'true"'),
    );
    expect((await repo.fen(...execute(id))).exitCode).toBe(0);
    expectClean(store());
  });

  test("while it waits for a lock leaves no place in the queue and no record", async () => {
    const id = shell("busy", "echo $$ > busy.pid; exec sleep 60");
    const holder = startFen(execute(id), { cwd: repo.path });
    await pidIn("busy.pid");
    for (const [signal, exitCode] of [
      ["SIGINT", 130],
      ["SIGTERM", 143],
      ["SIGHUP", 129],
    ] as const) {
      const waiter = startFen([...execute(id), "--json"], { cwd: repo.path });
      await waiter.says("lock.waiting");
      waiter.kill(signal);
      const result = await waiter.done;
      expect(result.exitCode).toBe(exitCode);
      expect(result.error().code).toBe("interrupted");
      expect((await repo.fen("datastore", "lock", "status", "--json")).json().waiting).toEqual([]);
    }
    holder.kill("SIGTERM");
    await holder.done;
    expect((await repo.fen("model", "output", "search", id, "--json")).json().results).toHaveLength(1);
    expectClean(store());
  });

  test("at any moment leaves a record that tells the truth", async () => {
    const id = shell("moment", "true");
    const begin = Date.now();
    expect((await repo.fen(...execute(id))).exitCode).toBe(0);
    const usual = Date.now() - begin;
    const outcomes = new Set<number>();
    for (let step = 1; step <= 15; step++) {
      const run = startFen([...execute(id), "--json"], { cwd: repo.path });
      await new Promise((resolve) => setTimeout(resolve, (usual * step * 1.2) / 15));
      run.kill("SIGTERM");
      const { exitCode, stdout } = await run.done;
      // Before fen listens, and when it is done and has said so, the signal ends it as it ends every process.
      expect([0, 143, -1]).toContain(exitCode);
      if (exitCode !== -1) expect(stdout === "").toBe(exitCode !== 0);
      else if (stdout !== "") expect(JSON.parse(stdout)).toMatchObject({ status: "succeeded" });
      outcomes.add(exitCode);
      expectClean(store());
    }
    const { results } = (await repo.fen("model", "output", "search", id, "--limit", "100", "--json")).json();
    const statuses: string[] = results.map((one: { status: string }) => one.status);
    expect(outcomes.size).toBeGreaterThan(1);
    expect(statuses.filter((status) => status !== "succeeded" && status !== "cancelled")).toEqual([]);
    expectWholeData(store(), id);
  });
});
