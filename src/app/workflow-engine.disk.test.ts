/** A step has ended when its outputs survive a power cut. For that waits the run itself, and no other run that wants the model. */
import { expect, test, vi } from "vitest";
import { after, memoryRun, nothing, stepOf, workflowOf } from "../../test/support/memory-run.ts";
import { FenError } from "../kernel/errors.ts";
import type { MethodContext, ModelType } from "../model/type.ts";
import type { StepDefinition, WorkflowDefinition } from "../workflow/definition.ts";
import type { JournalEntry } from "../workflow/entries.ts";

const spec = { description: "", contentType: "application/json", lifetime: "infinite", garbageCollection: 10 };

const type = (execute: (context: MethodContext) => Promise<void>): ModelType => ({
  ...nothing,
  resources: { result: { ...spec, streaming: false } },
  methods: {
    change: {
      ...{ description: "", kind: "action", arguments: { type: "object" } },
      execute: async (_, context) => {
        await execute(context);
        return { status: "succeeded" };
      },
    },
  },
});

/** That is what happens, and nothing more. */
async function expectAll(order: readonly string[], expected: readonly string[]): Promise<void> {
  await vi.waitFor(() => expect(order.length).toBeGreaterThanOrEqual(expected.length), { timeout: 10_000 });
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(order).toEqual(expected);
}

/** What happened, in order. The disk keeps versions when it is told to; `keep` says how that ends. */
function watched(steps: readonly StepDefinition[], lock: WorkflowDefinition["lock"], signal?: AbortSignal) {
  const order: string[] = [];
  const entries: JournalEntry[] = [];
  const waiting: { readonly resolve: () => void; readonly reject: (error: unknown) => void }[] = [];
  const { clock, workspace, run } = memoryRun(workflowOf(steps, lock), {
    type: type(({ writeResource }) => writeResource("result", {})),
    ...(signal === undefined ? {} : { signal }),
    emit: (event) => {
      if (event.event !== "workflow.entry") return;
      const { entry } = event;
      entries.push(entry);
      if (entry.e === "start" || entry.e === "end" || entry.e === "retry")
        order.push(`${entry.e} ${steps[entry.n]?.name}`);
    },
  });
  vi.spyOn(workspace.files, "keep").mockImplementation((...[paths = []]: readonly (readonly string[])[]) => {
    order.push(`to keep: ${paths.map((path) => path.split("/").slice(-2).join("/")).join()}`);
    return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
  });
  workspace.lockTable.onRelease = () => void order.push("released");
  const running = run();
  const next = () => {
    const one = waiting.shift();
    if (one === undefined) throw new Error(`nothing is to be kept: ${order.join("; ")}`);
    return one;
  };
  return { order, entries, running, next, clock };
}

test("whoever comes next on the model, or depends on the step, starts when its end is in the journal", async () => {
  const { order, running, next } = watched([stepOf("a"), stepOf("b"), stepOf("c", { dependsOn: after("a") })], "run");
  const first = ["start a", "to keep: result/1"];
  await expectAll(order, first);
  next().resolve();
  const second = [...first, "end a", "start b", "to keep: result/2"];
  await expectAll(order, second);
  next().resolve();
  const third = [...second, "end b", "start c", "released", "to keep: result/3"];
  await expectAll(order, third);
  next().resolve();
  await running;
  expect(order).toEqual([...third, "end c"]);
});

test("other runs needn't wait for the disk either: the lock is back before", async () => {
  for (const lock of ["run", "step"] as const) {
    const { order, running, next } = watched([stepOf("a")], lock);
    const first = ["start a", "released", "to keep: result/1"];
    await expectAll(order, first);
    next().resolve();
    await running;
    expect(order).toEqual([...first, "end a"]);
  }
});

test("a step whose outputs may not survive has failed, and isn't tried again; its end names no outputs", async () => {
  const retry = { attempts: 3, backoffMs: 1, on: ["failure"] as const };
  const { order, entries, running, next } = watched(
    [stepOf("a", { retry }), stepOf("b", { dependsOn: after("a") })],
    "run",
  );
  await expectAll(order, ["start a", "to keep: result/1"]);
  next().reject(new FenError("disk_full", "No space is left."));
  await running;
  expect(order.filter((one) => /^(start|retry)/.test(one))).toEqual(["start a"]);
  const ends = entries.filter((entry) => entry.e === "end");
  expect(ends).toMatchObject([
    {
      s: "failed",
      error: "The method succeeded and its data is kept; it may not survive a power cut. No space is left.",
    },
    { s: "skipped" },
  ]);
  expect(ends[0]).not.toHaveProperty("data");
});

test("a step whose outputs are data, and of which the rest fails when the run is stopped, stays open: a resume finds its outputs, and doesn't run it again", async () => {
  const stop = new AbortController();
  const { order, entries, running, next } = watched([stepOf("a"), stepOf("b")], "run", stop.signal);
  await expectAll(order, ["start a", "to keep: result/1"]);
  stop.abort(new FenError("interrupted", "Interrupted by SIGINT."));
  next().reject(new FenError("disk_full", "No space is left."));
  await expect(running).rejects.toMatchObject({ code: "interrupted" });
  expect(entries.filter(({ e }) => e === "start" || e === "end")).toMatchObject([{ e: "start", n: 0 }]);
});

test.each(["disk_full", "store_denied"] as const)(
  "a run whose records of steps can't be written (%s) hasn't ended: it can be gone on with, which writes them",
  async (code) => {
    const entries: JournalEntry[] = [];
    const { workspace, run } = memoryRun(workflowOf([stepOf("a")]), {
      type: nothing,
      emit: (event) => void (event.event === "workflow.entry" && entries.push(event.entry)),
    });
    vi.spyOn(workspace.files, "sync").mockRejectedValue(
      new FenError(code, "No room left.", { remedy: "Free some space" }),
    );
    await expect(run()).rejects.toMatchObject({
      code,
      message: "No room left.",
      hint: expect.stringMatching(/^Free some space, then go on with the run: fen workflow resume [\da-f-]{36}$/),
    });
    expect(entries.map(({ e }) => e)).toContain("end");
    expect(entries.map(({ e }) => e)).not.toContain("done");
    expect(workspace.lockTable.held.size).toBe(0);
  },
);

test("a step whose method turns out to change things takes the stronger lock, and doesn't wait for itself", async () => {
  const changing = nothing.methods["change"];
  if (changing === undefined) throw new Error("nothing changes");
  let kind: typeof changing.kind = "read";
  const methods = {
    change: {
      ...changing,
      get kind() {
        return kind;
      },
    },
  };
  const { workspace, run } = memoryRun(workflowOf([stepOf("a"), stepOf("b", { dependsOn: after("a") })]), {
    type: { ...nothing, methods },
    emit: () => undefined,
  });
  const { definitions } = workspace;
  const reread = definitions.reread.bind(definitions);
  vi.spyOn(definitions, "reread").mockImplementation((before) => {
    kind = "action"; // somebody has changed the definition since the run was planned
    return reread(before);
  });
  await run();
  expect(definitions.reread).toHaveBeenCalledTimes(3);
  expect(workspace.lockTable.held.size).toBe(0);
});
