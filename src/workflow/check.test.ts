import { Ajv2020 } from "ajv/dist/2020.js";
import { tries } from "../../test/support/quick.ts";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkWorkflow, unbounded } from "./check.ts";
import { workflowSchemas } from "./schema.ts";

const task = { type: "model_method", modelIdOrName: "web-01", methodName: "execute" };
const step = { name: "one", task };
const job = { name: "only", steps: [step] };
const workflow = { id: "9A0D6A52-6f5b-4a0c-9a2e-6b1f0e5d7c10", name: "patch", jobs: [job] };

/** The workflow with one step of these further keys. */
const withStep = (more: object): object => ({ ...workflow, jobs: [{ ...job, steps: [{ ...step, ...more }] }] });
const withJob = (more: object): object => ({ ...workflow, jobs: [{ ...job, ...more }] });

/** Its findings, each as "error jobs.0.steps.0: message (hint)". */
function told(value: unknown): string[] {
  return checkWorkflow(value).findings.map(
    ({ severity, path, message, hint }) =>
      `${severity} ${path.join(".")}: ${message}${hint === undefined ? "" : ` (${hint})`}`,
  );
}

test("the least that a workflow needs gets all defaults", () => {
  expect(checkWorkflow(workflow)).toEqual({
    findings: [],
    workflow: {
      id: "9a0d6a52-6f5b-4a0c-9a2e-6b1f0e5d7c10",
      name: "patch",
      version: 1,
      tags: {},
      lock: "run",
      jobs: [
        {
          name: "only",
          dependsOn: [],
          weight: 0,
          steps: [
            {
              name: "one",
              task: { ...task, inputs: {} },
              dependsOn: [],
              weight: 0,
              allowFailure: false,
              dataOutputOverrides: [],
            },
          ],
        },
      ],
    },
  });
});

test("a number that no journal can keep is an error with its place, in the inputs of a step and in those that are declared", () => {
  const inputs = { limits: [1, Number.POSITIVE_INFINITY] };
  const message = "a number that is infinite or none can be kept by no record (Give another number, or text.)";
  expect(told(withStep({ task: { ...task, inputs } }))).toEqual([
    `error jobs.0.steps.0.task.inputs.limits.1: ${message}`,
  ]);
  expect(told({ ...workflow, inputs: { properties: { n: { default: Number.NaN } } } })).toEqual([
    `error inputs.properties.n.default: ${message}`,
  ]);
});

test("every key that there is arrives", () => {
  const inputs = { properties: { hosts: { type: "array" } } };
  const condition = { type: "not", condition: { type: "and", conditions: [{ type: "failed" }, { type: "always" }] } };
  const override = { specName: "result", lifetime: "30d", garbageCollection: 5, tags: { a: "b" }, vary: ["host"] };
  const full = {
    ...workflow,
    description: "d",
    version: 3,
    tags: { team: "sre" },
    inputs,
    concurrency: 8,
    lock: "step",
    driver: "raw",
    driverConfig: { a: 1 },
    jobs: [
      {
        name: "a",
        description: "",
        weight: -1.5,
        concurrency: 0,
        driver: "raw",
        driverConfig: {},
        dependsOn: [{ job: "b", condition }],
        steps: [
          {
            ...step,
            description: "s",
            forEach: { item: "host", in: "${{ inputs.hosts }}" },
            dependsOn: [{ step: "two", condition: { type: "skipped" } }],
            weight: 2,
            allowFailure: true,
            dataOutputOverrides: [override],
            concurrency: 2,
            timeout: "1.5m",
            retry: { attempts: 3, backoff: 250, on: ["lock", "failure", "lock"] },
            driver: "raw",
            driverConfig: {},
          },
          { name: "two", task: { type: "workflow", workflowIdOrName: "other", inputs: { day: "today" } } },
        ],
      },
    ],
  };
  expect(told(full)).toEqual([]);
  expect(checkWorkflow(full).workflow).toMatchObject({
    description: "d",
    version: 3,
    inputs,
    concurrency: 8,
    lock: "step",
    driver: "raw",
    jobs: [
      {
        weight: -1.5,
        concurrency: unbounded,
        dependsOn: [{ job: "b", condition }],
        steps: [
          {
            forEach: { item: "host", in: "${{ inputs.hosts }}" },
            dependsOn: [{ step: "two", condition: { type: "skipped" } }],
            weight: 2,
            allowFailure: true,
            dataOutputOverrides: [override],
            concurrency: 2,
            timeoutMs: 90_000,
            retry: { attempts: 3, backoffMs: 250, on: ["failure", "lock"] },
          },
          { task: { type: "workflow", workflowIdOrName: "other", inputs: { day: "today" } } },
        ],
      },
    ],
  });
  expect(checkWorkflow(withStep({ retry: { attempts: 2 } })).workflow?.jobs[0]?.steps[0]?.retry).toEqual({
    attempts: 2,
    backoffMs: 1000,
    on: ["failure", "timeout", "lock", "interrupted"],
  });
});

describe("what is wrong is told with its key and what to write", () => {
  test.each<[string, unknown, string[]]>([
    ["no map", [], ["error : a workflow must be a map of keys (Begin with: fen workflow create <name>)"]],
    [
      "nothing in it",
      {},
      [
        "error id: id is missing (Write a new one, for example from: uuidgen)",
        "error name: name is missing",
        "error jobs: jobs is missing (jobs: [{ name: ..., steps: [...] }])",
      ],
    ],
    [
      "no jobs",
      { ...workflow, jobs: [] },
      ["error jobs: jobs needs at least one job (jobs: [{ name: ..., steps: [...] }])"],
    ],
    [
      "an id that isn't one",
      { ...workflow, id: "1" },
      ["error id: id must be a UUID (Write a new one, for example from: uuidgen)"],
    ],
    [
      "a name that leads out",
      { ...workflow, name: "../x" },
      ['error name: name must be text without "..", "/", "\\" or NUL'],
    ],
    [
      "a tag that is a number",
      { ...workflow, tags: { v: 1 } },
      ['error tags.v: tag v must be text (Quote it: v: "1")'],
    ],
    [
      "an input of no type",
      { ...workflow, inputs: { properties: { a: { type: "strin" } } } },
      ["warning inputs.properties.a.type: input a has an unknown type strin (Did you mean string?)"],
    ],
    [
      "a misspelt key of an input; one of somebody's own is left alone",
      { ...workflow, inputs: { properties: { a: { type: "string", defalt: "x", owner: "me" } } } },
      ["warning inputs.properties.a.defalt: input a: unknown key defalt (Did you mean default?)"],
    ],
    [
      "no value",
      { ...workflow, tags: null },
      ["error tags: tags has no value: it must be a map (Give it one, or leave it out.)"],
    ],
    ["a misspelt key", { ...workflow, jbos: [] }, ["error jbos: unknown key jbos (Did you mean jobs?)"]],
    [
      "a misspelt key of a job",
      withJob({ dependOn: [] }),
      ["error jobs.0.dependOn: unknown key dependOn (Did you mean dependsOn?)"],
    ],
    [
      "a misspelt key of a step",
      withStep({ allowfailure: true }),
      ["error jobs.0.steps.0.allowfailure: unknown key allowfailure (Did you mean allowFailure?)"],
    ],
    [
      "a misspelt key of a task",
      withStep({ task: { ...task, input: {} } }),
      ["error jobs.0.steps.0.task.input: unknown key input (Did you mean inputs?)"],
    ],
    [
      "a key of somebody else",
      { ...workflow, "x-owner": "me" },
      [expect.stringMatching(/^warning x-owner: unknown key x-owner \(Known keys: id, name, /)] as string[],
    ],
    [
      "a key of a later program",
      { ...workflow, trigger: { schedule: "* * * * *" } },
      ["warning trigger: trigger has no effect here"],
    ],
    [
      "a later key that would keep a step from running",
      withStep({ guard: "true" }),
      [
        "error jobs.0.steps.0.guard: guard isn't known here (Say when a step is to run in dependsOn, or in the method itself.)",
      ],
    ],
    [
      "a shell task",
      withStep({ task: { type: "shell", command: "ls" } }),
      [
        "error jobs.0.steps.0.task.type: a step can't have a task of type shell (Make a model of the type command/shell (fen model create command/shell <name>) and call its method execute, with the command in its argument run.)",
      ],
    ],
    [
      "a task of no type",
      withStep({ task: {} }),
      [
        "error jobs.0.steps.0.task.type: type is missing (task: { type: model_method, modelIdOrName: web-01, methodName: execute })",
      ],
    ],
    [
      "a misspelt type",
      withStep({ task: { ...task, type: "model-method" } }),
      ["error jobs.0.steps.0.task.type: type must be one of model_method, workflow (Did you mean model_method?)"],
    ],
    [
      "a name that is a number",
      withStep({ task: { ...task, modelIdOrName: 7 } }),
      [
        "error jobs.0.steps.0.task.modelIdOrName: modelIdOrName must be text that isn't empty (A name or an id, as text: quote what YAML would read as a number.)",
      ],
    ],
    [
      "no condition",
      withJob({ dependsOn: [{ job: "a" }] }),
      ["error jobs.0.dependsOn.0.condition: condition is missing (condition: { type: succeeded })"],
    ],
    [
      "a dependency by name only",
      withJob({ dependsOn: ["a"] }),
      [
        "error jobs.0.dependsOn.0: dependency must be a map (dependsOn: [{ job: <name>, condition: { type: succeeded } }])",
      ],
    ],
    [
      "an unknown condition",
      withJob({ dependsOn: [{ job: "a", condition: { type: "succeded" } }] }),
      [
        "error jobs.0.dependsOn.0.condition.type: type must be one of always, succeeded, failed, completed, skipped, and, or, not (Did you mean succeeded?)",
      ],
    ],
    [
      "or with one part",
      withJob({ dependsOn: [{ job: "a", condition: { type: "or", conditions: [{ type: "failed" }] } }] }),
      [
        "error jobs.0.dependsOn.0.condition.conditions: conditions needs at least 2 conditions ({ type: or, conditions: [{ type: failed }, { type: skipped }] })",
      ],
    ],
    [
      "a fan-out over nothing",
      withStep({ forEach: { item: "h", in: "hosts" } }),
      [
        "error jobs.0.steps.0.forEach.in: in must be text with a ${{ expression }} (forEach: { item: host, in: ${{ inputs.hosts }} })",
      ],
    ],
    [
      "a concurrency below zero",
      withStep({ concurrency: -1 }),
      [
        "error jobs.0.steps.0.concurrency: concurrency must be a whole number from 0 (How many steps may be at work at once, for example 8)",
      ],
    ],
    [
      "a time without a unit",
      withStep({ timeout: "30" }),
      [
        "error jobs.0.steps.0.timeout: timeout must be a duration of at most 596h (timeout: 30s, 5m or 1h; a number is milliseconds)",
      ],
    ],
    [
      "a time that no timer can count",
      withStep({ timeout: "597h" }),
      [
        "error jobs.0.steps.0.timeout: timeout must be a duration of at most 596h (timeout: 30s, 5m or 1h; a number is milliseconds)",
      ],
    ],
    [
      "too many attempts",
      withStep({ retry: { attempts: 101 } }),
      [
        "error jobs.0.steps.0.retry.attempts: attempts must be a whole number from 1 to 100 (retry: { attempts: 3, backoff: 5s })",
      ],
    ],
    [
      "an unknown cause",
      withStep({ retry: { attempts: 2, on: ["failures"] } }),
      [
        "error jobs.0.steps.0.retry.on: on must be a list of some of failure, timeout, lock, interrupted (Did you mean failure?)",
      ],
    ],
    [
      "a lock that isn't one",
      { ...workflow, lock: "steps" },
      ["error lock: lock must be one of run, step (Did you mean step?)"],
    ],
    [
      "a lifetime in minutes of doubt",
      withStep({ dataOutputOverrides: [{ specName: "result", lifetime: "30" }] }),
      [
        "error jobs.0.steps.0.dataOutputOverrides.0.lifetime: lifetime must be a duration or infinite, ephemeral, job, workflow (For example: 12h, 30d, 4w, 6mo, 1y)",
      ],
    ],
  ])("%s", (_what, value, findings) => {
    expect(told(value)).toEqual(findings);
  });

  test("conditions can't be nested without end", () => {
    let condition: object = { type: "failed" };
    for (let depth = 0; depth < 5000; depth++) condition = { type: "not", condition };
    expect(told(withJob({ dependsOn: [{ job: "a", condition }] }))).toEqual([
      expect.stringContaining("conditions are nested deeper than 20"),
    ]);
  });
});

// ------------------------------------------------------------------ the schemas say the same

const ajv = new Ajv2020({ strict: true, strictRequired: false, strictTypes: false, allErrors: true });
const schemas = Object.entries(workflowSchemas()).map(([name, schema]) => [name, ajv.compile(schema)] as const);
const admits = (name: string, value: unknown): boolean => schemas.find(([one]) => one === name)?.[1](value) === true;

const noise = fc.constantFrom<unknown>(null, "", "x", 0, -1, 1.5, 200, true, [], {}, ["x"], { type: "x" }, [1], [{}]);
/** Mostly what is right, now and then something else. */
const mostly = <T>(right: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
  fc.oneof({ arbitrary: right, weight: 300 }, { arbitrary: noise, weight: 1 });
const pick = (right: readonly unknown[], wrong: readonly unknown[]) =>
  fc.oneof({ arbitrary: fc.constantFrom(...right), weight: 300 }, { arbitrary: fc.constantFrom(...wrong), weight: 1 });
/** A map whose required keys are nearly always there; now and then a key too many. */
function mapOf(required: Record<string, fc.Arbitrary<unknown>>, optional: Record<string, fc.Arbitrary<unknown>> = {}) {
  const keys = { ...required, ...optional };
  const whole = fc.record(Object.fromEntries(Object.entries(keys).map(([key, value]) => [key, mostly(value)])), {
    requiredKeys: Object.keys(required),
  });
  const broken = fc
    .tuple(whole, fc.constantFrom(...Object.keys(keys), "xyzzy"))
    .map(([value, key]): object => (key in value ? without(value, key) : { ...value, [key]: {} }));
  return fc.oneof({ arbitrary: whole, weight: 200 }, { arbitrary: broken, weight: 1 });
}

function without(value: object, key: string): object {
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== key));
}

const name = fc.constantFrom("a", "b", "web 01", "${{ self.h }}");
const time = pick(["30s", "1.5m", "500ms", "2h", 1, 60_000, 2 ** 31 - 1], ["30", "s", "-1s", 2 ** 31]);
const keep = pick(["30d", "6mo", "1y"], ["0d", "d", "1.5d", "infinite", 1, 0]);
const lifetime = fc.oneof(keep, fc.constantFrom("infinite", "ephemeral", "job", "workflow"));
const map = fc.constantFrom({}, { a: 1 }, { a: { b: [] } });
const tags = pick([{}, { a: "b" }], [{ a: 1 }]);
const { condition } = fc.letrec((tie) => ({
  condition: fc.oneof(
    { maxDepth: 3 },
    mapOf({ type: fc.constantFrom("always", "succeeded", "failed", "completed", "skipped") }),
    mapOf({ type: fc.constant("not"), condition: tie("condition") }),
    mapOf({
      type: fc.constantFrom("and", "or"),
      conditions: fc.array(tie("condition"), { minLength: 2, maxLength: 3 }),
    }),
  ),
}));
const shared = {
  description: fc.string(),
  weight: fc.integer(),
  concurrency: fc.nat(9),
  driver: name,
  driverConfig: map,
};
const anyTask = fc.oneof(
  mapOf({ type: fc.constant("model_method"), modelIdOrName: name, methodName: name }, { inputs: map }),
  mapOf({ type: fc.constant("workflow"), workflowIdOrName: name }, { inputs: map }),
);
const anyStep = mapOf(
  { name, task: anyTask },
  {
    ...shared,
    forEach: mapOf({ item: name, in: pick(["${{ inputs.a }}"], ["a"]) }),
    dependsOn: fc.array(mapOf({ step: name, condition }), { maxLength: 2 }),
    allowFailure: fc.boolean(),
    dataOutputOverrides: fc.array(
      mapOf({ specName: name }, { lifetime, garbageCollection: keep, tags, vary: fc.array(name, { maxLength: 2 }) }),
      { maxLength: 2 },
    ),
    timeout: time,
    retry: mapOf(
      { attempts: pick([1, 2, 100], [0, 101, 1.5]) },
      {
        backoff: time,
        on: fc.array(pick(["failure", "timeout", "lock", "interrupted"], ["no"]), { minLength: 1, maxLength: 3 }),
      },
    ),
  },
);
const anyJob = mapOf(
  { name, steps: fc.array(anyStep, { minLength: 1, maxLength: 2 }) },
  { ...shared, dependsOn: fc.array(mapOf({ job: name, condition }), { maxLength: 2 }) },
);
const anyWorkflow = mapOf(
  {
    id: fc.oneof(
      fc.uuid(),
      fc.constantFrom("00000000-0000-0000-0000-000000000000", "9A0D6A52-6F5B-9A0C-9A2E-6B1F0E5D7C10"),
    ),
    name: fc.oneof(
      { arbitrary: fc.constantFrom("a", "my flow", ".a", "a\nb", "ä"), weight: 60 },
      { arbitrary: fc.constantFrom(".", "..", "a..b", "a/b", "a\\b", "a\0", "..\n", "\n.."), weight: 1 },
    ),
    jobs: fc.array(anyJob, { minLength: 1, maxLength: 2 }),
  },
  {
    ...shared,
    version: pick([1, 2], [0, 1.5]),
    tags,
    inputs: map,
    lock: pick(["run", "step"], ["never"]),
  },
);

/** No error, and no key that it merely warns of. */
function accepts(value: unknown): boolean {
  return !checkWorkflow(value).findings.some(
    ({ severity, message }) => severity === "error" || message.startsWith("unknown key"),
  );
}

describe("the JSON Schemas", () => {
  test("admit exactly what the check accepts", () => {
    let accepted = 0;
    fc.assert(
      fc.property(anyWorkflow, (value) => {
        const accept = accepts(value);
        if (accept) accepted++;
        expect(admits("workflow", value)).toBe(accept);
      }),
      { numRuns: tries(3000) },
    );
    expect(accepted).toBeGreaterThan(tries(100));
    expect(accepted).toBeLessThan(2900);
  });

  test("of the parts judge the parts as that of the whole does", () => {
    const parts = fc.oneof(
      anyJob.map((value) => ["job", value, { ...workflow, jobs: [value] }] as const),
      anyStep.map((value) => ["step", value, withJob({ steps: [value] })] as const),
      anyTask.map((value) => ["stepTask", value, withStep({ task: value })] as const),
      mapOf({ job: name, condition }).map(
        (value) => ["jobDependency", value, withJob({ dependsOn: [value] })] as const,
      ),
      mapOf({ step: name, condition }).map(
        (value) => ["stepDependency", value, withStep({ dependsOn: [value] })] as const,
      ),
      condition.map(
        (value) => ["triggerCondition", value, withJob({ dependsOn: [{ job: "a", condition: value }] })] as const,
      ),
    );
    fc.assert(
      fc.property(parts, ([part, value, whole]) => {
        expect(admits(part, value)).toBe(admits("workflow", whole));
      }),
      { numRuns: tries(2000) },
    );
  });
});
