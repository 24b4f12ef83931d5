/** The graph of a workflow: what depends on what, and what is wrong with that. Pure. */
import type { YamlPath } from "../repo/yaml.ts";
import { nearest } from "../kernel/suggest.ts";
import { holds } from "./conditions.ts";
import type { Condition, StepDefinition, Task, WorkflowDefinition } from "./definition.ts";

/** The checks that one file is enough for, in the order in which they are told. */
export const graphChecks = [
  "Unique job names",
  "Unique step names per job",
  "Job references",
  "Step references per job",
  "Job cycles",
  "Step cycles per job",
  "Conditions",
] as const;

export interface GraphFinding {
  readonly check: (typeof graphChecks)[number];
  readonly path: YamlPath;
  readonly message: string;
  readonly hint?: string;
}

/** So many workflows may be called within each other, below the first. */
export const maxNesting = 10;

/** Everything that is wrong with jobs, steps and what they wait for. */
export function checkGraph({ jobs }: WorkflowDefinition): GraphFinding[] {
  const jobNodes = jobs.map(({ name, dependsOn }) => ({
    name,
    before: dependsOn.map(({ job, condition }) => ({ name: job, condition })),
  }));
  const findings = checkNodes(jobNodes, { kind: "job", at: ["jobs"], where: "" });
  for (const [index, job] of jobs.entries()) {
    const nodes = job.steps.map(({ name, dependsOn }) => ({
      name,
      before: dependsOn.map(({ step, condition }) => ({ name: step, condition })),
    }));
    findings.push(...checkNodes(nodes, { kind: "step", at: ["jobs", index, "steps"], where: ` of job ${job.name}` }));
  }
  return findings.sort((a, b) => graphChecks.indexOf(a.check) - graphChecks.indexOf(b.check));
}

interface Node {
  readonly name: string;
  readonly before: readonly { readonly name: string; readonly condition: Condition }[];
}

interface Level {
  readonly kind: "job" | "step";
  readonly at: YamlPath;
  /** " of job patch", or nothing. */
  readonly where: string;
}

const checksOf = {
  job: { names: "Unique job names", references: "Job references", cycles: "Job cycles" },
  step: { names: "Unique step names per job", references: "Step references per job", cycles: "Step cycles per job" },
} as const;

function checkNodes(nodes: readonly Node[], level: Level): GraphFinding[] {
  const { kind, at, where } = level;
  const checks = checksOf[kind];
  const found: GraphFinding[] = [];
  const names = new Map<string, number>();
  for (const [index, { name }] of nodes.entries()) {
    if (names.has(name))
      found.push({
        check: checks.names,
        path: [...at, index, "name"],
        message: `two ${kind}s${where} are called ${name}`,
      });
    else names.set(name, index);
  }
  for (const [index, node] of nodes.entries()) {
    for (const [place, { name }] of node.before.entries()) {
      if (names.has(name)) continue;
      const near = nearest(name, names.keys());
      found.push({
        check: checks.references,
        path: [...at, index, "dependsOn", place, kind],
        message: `${kind} ${node.name} depends on ${name}, but no ${kind}${where} is called so`,
        ...(near === undefined ? {} : { hint: `Did you mean ${near}?` }),
      });
    }
    found.push(...checkConditions(node, [...at, index, "dependsOn"], kind));
  }
  const edges = new Map<string, string[]>();
  for (const { name, before } of nodes) edges.set(name, [...(edges.get(name) ?? []), ...before.map((one) => one.name)]);
  const cycle = findCycle(edges);
  if (cycle !== undefined)
    found.push({
      check: checks.cycles,
      path: [...at, names.get(cycle[0] ?? "") ?? 0, "dependsOn"],
      message: `${kind}s${where} wait for each other: ${chainText(cycle)} -> ${cycle[0] ?? ""}`,
    });
  return found;
}

const shownOfChain = 10;

/** Of a long one the beginning and the end. */
function chainText(names: readonly string[]): string {
  if (names.length <= shownOfChain) return names.join(" -> ");
  const half = shownOfChain / 2;
  const left = names.length - shownOfChain;
  return [...names.slice(0, half), `(${left} more)`, ...names.slice(-half)].join(" -> ");
}

const ends = ["succeeded", "failed", "skipped", "cancelled"] as const;

/** Conditions on one job or step that hold together for no end that it can have. */
function checkConditions({ name, before }: Node, at: YamlPath, kind: string): GraphFinding[] {
  return [...new Set(before.map((one) => one.name))].flatMap((other): GraphFinding[] => {
    const conditions = before.filter((one) => one.name === other).map((one) => one.condition);
    if (ends.some((end) => conditions.every((condition) => holds(condition, end)))) return [];
    const path = [...at, before.findIndex((one) => one.name === other)];
    return [
      { check: "Conditions", path, message: `${kind} ${name} never runs: no end of ${other} fits what it waits for` },
    ];
  });
}

/** Names that lead in a circle, in the order of the edges; undefined where there is none. Names without edges of their own lead nowhere. */
export function findCycle(edges: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  for (const start of edges.keys()) {
    const path: { name: string; next: number }[] = [{ name: start, next: 0 }];
    const onPath = new Map([[start, 0]]);
    for (let top = path.at(-1); top !== undefined && !done.has(start); top = path.at(-1)) {
      const next = edges.get(top.name)?.[top.next++];
      if (next === undefined) {
        done.add(top.name);
        onPath.delete(top.name);
        path.pop();
        continue;
      }
      const seen = onPath.get(next);
      if (seen !== undefined) return path.slice(seen).map(({ name }) => name);
      if (done.has(next)) continue;
      onPath.set(next, path.length);
      path.push({ name: next, next: 0 });
    }
  }
  return undefined;
}

export interface TaskPlace {
  readonly path: YamlPath;
  readonly job: string;
  readonly step: StepDefinition;
  readonly task: Task;
}

/** The tasks of all steps, with their places in the file. */
export function tasksOf({ jobs }: WorkflowDefinition): TaskPlace[] {
  return jobs.flatMap((job, j) =>
    job.steps.map((step, s) => ({ path: ["jobs", j, "steps", s, "task"], job: job.name, step, task: step.task })),
  );
}

/** Names or ids of the workflows that a workflow calls, where they are written out. */
export function nestedWorkflows(workflow: WorkflowDefinition): string[] {
  return tasksOf(workflow).flatMap(({ task }) => (task.type === "workflow" ? [task.workflowIdOrName] : []));
}

/** True where a workflow names that model or workflow, by name or by id. */
export function namesOther(
  workflow: WorkflowDefinition,
  kind: "model" | "workflow",
  { name, id }: { readonly name: string; readonly id: string },
): boolean {
  return tasksOf(workflow).some(({ task }) => {
    const named = task.type === "workflow" ? task.workflowIdOrName : task.modelIdOrName;
    return (task.type === "workflow") === (kind === "workflow") && (named === name || named.toLowerCase() === id);
  });
}
