import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { scratchRepo } from "../../test/support/cli.ts";
import { systemMachine } from "../kernel/machine.ts";
import type { MethodSpec } from "../model/type.ts";
import type { AppContext } from "./context.ts";
import { prepareMethod } from "./prepare-method.ts";
import { rehearse } from "./rehearsal.ts";
import { openWorkspace } from "./workspace.ts";

/** Rehearses `execute` of a model of a scratch repository; gives the arguments of each call of the method, and what is in the repository before and after. */
async function rehearsed(given: Pick<MethodSpec, "rehearsal">) {
  const repo = await scratchRepo();
  try {
    repo.model("m", "touch ran");
    const files = () => readdirSync(repo.path, { recursive: true }).map(String).sort();
    const context: AppContext = {
      machine: systemMachine("fen"),
      repoDir: repo.path,
      signal: new AbortController().signal,
      lockTimeoutMs: 0,
      emit: (event) => expect(event).toBe("nothing"),
    };
    const workspace = await openWorkspace(context);
    const call = { method: "execute", inputs: {}, tags: {} };
    const prepared = await prepareMethod(context, workspace, await workspace.definitions.find("m"), call);
    const calls: unknown[] = [];
    const { rehearsal: _, ...real } = prepared.type.methods["execute"] ?? expect.fail("there is no such method");
    const execute: MethodSpec = {
      ...real,
      ...given,
      execute: async (args, method) => {
        calls.push(args);
        return real.execute(args, method);
      },
    };
    const before = files();
    await rehearse(context, workspace, { ...call, ...prepared, type: { ...prepared.type, methods: { execute } } });
    return { calls, before, after: files() };
  } finally {
    repo.remove();
  }
}

test("the method is called once, with its empty arguments and not with those of the model; no file comes of it, and nothing is told", async () => {
  const { calls, before, after } = await rehearsed({ rehearsal: { run: ":" } });
  expect(calls).toEqual([{ run: ":" }]);
  expect(after).toEqual(before);
});

test("a method without a rehearsal isn't called", async () => {
  const { calls, before, after } = await rehearsed({});
  expect(calls).toEqual([]);
  expect(after).toEqual(before);
});

test("a rehearsal that fails is passed over", async () => {
  expect((await rehearsed({ rehearsal: {} })).calls).toEqual([]);
});
