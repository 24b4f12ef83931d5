/** What can be said before a run of what will run in it: what surely does, what depends on how something ends, what never does. Pure. */
import { holds } from "./conditions.ts";
import type { Condition, WorkflowDefinition } from "./definition.ts";
import type { EndStatus } from "./entries.ts";

export type Outlook = "runs" | "depends" | "never";

export interface JobOutlook {
  readonly outlook: Outlook;
  /** Of each step, given that the job runs. */
  readonly steps: readonly Outlook[];
}

/** A job or step, with the ends that it may have where it runs. */
interface Node {
  readonly name: string;
  readonly before: readonly { readonly name: string; readonly condition: Condition }[];
  readonly ends: ReadonlySet<EndStatus>;
}

/**
 * Of each job. `isEmpty` says whether a step (by its number) is a fan-out over nothing: it can't fail. Nobody cancels the run. Of several that are waited
 * for each is looked at alone, so "depends" may be said where they can't end so together; the graph has no circles.
 */
export function outlookOf({ jobs }: WorkflowDefinition, isEmpty: (step: number) => boolean): JobOutlook[] {
  let number = 0;
  const inside = jobs.map(({ steps }) => {
    const nodes = steps.map(({ name, dependsOn }) => ({
      name,
      before: dependsOn.map(({ step, condition }) => ({ name: step, condition })),
      ends: endsWhere(!isEmpty(number++)),
    }));
    const outlooks = outlooksOf(nodes);
    const mayFail = steps.some(
      ({ allowFailure }, at) => !allowFailure && outlooks[at] !== "never" && nodes[at]?.ends.has("failed") === true,
    );
    return { outlooks, mayFail };
  });
  const outer = outlooksOf(
    jobs.map(({ name, dependsOn }, at) => ({
      name,
      before: dependsOn.map(({ job, condition }) => ({ name: job, condition })),
      ends: endsWhere(inside[at]?.mayFail === true),
    })),
  );
  return outer.map((outlook, at) => ({ outlook, steps: inside[at]?.outlooks ?? [] }));
}

function endsWhere(mayFail: boolean): ReadonlySet<EndStatus> {
  return new Set(mayFail ? (["succeeded", "failed"] as const) : (["succeeded"] as const));
}

function outlooksOf(nodes: readonly Node[]): Outlook[] {
  const outlooks = new Map<string, Outlook>();
  const ends = new Map<string, ReadonlySet<EndStatus>>();
  for (const node of inOrder(nodes)) {
    const outlook = lookAt(node, ends);
    outlooks.set(node.name, outlook);
    const skipped = outlook === "runs" ? [] : (["skipped"] as const);
    ends.set(node.name, new Set([...(outlook === "never" ? [] : node.ends), ...skipped]));
  }
  return nodes.map(({ name }) => outlooks.get(name) ?? "never");
}

function lookAt({ before }: Node, ends: ReadonlyMap<string, ReadonlySet<EndStatus>>): Outlook {
  let outlook: Outlook = "runs";
  for (const other of new Set(before.map(({ name }) => name))) {
    const all = before.filter(({ name }) => name === other);
    const possible = [...(ends.get(other) ?? [])];
    const fitting = possible.filter((end) => all.every(({ condition }) => holds(condition, end)));
    if (fitting.length === 0) return "never";
    if (fitting.length < possible.length) outlook = "depends";
  }
  return outlook;
}

/** Each behind all that it waits for. */
function inOrder(nodes: readonly Node[]): Node[] {
  const after = new Map<string, Node[]>();
  const open = new Map<Node, number>();
  for (const node of nodes) {
    const names = new Set(node.before.map((one) => one.name));
    open.set(node, names.size);
    for (const name of names) {
      const others = after.get(name);
      if (others === undefined) after.set(name, [node]);
      else others.push(node);
    }
  }
  const ordered = nodes.filter((node) => open.get(node) === 0);
  for (const { name } of ordered)
    // grows while it is gone through
    for (const next of after.get(name) ?? []) {
      const left = (open.get(next) ?? 0) - 1;
      open.set(next, left);
      if (left === 0) ordered.push(next);
    }
  return ordered;
}
