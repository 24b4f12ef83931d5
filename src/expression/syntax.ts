/** The syntax tree of an expression: which variables it uses, with the fields that are written, and which functions of ours it calls. */

/** A use of a variable, or a call of a function in one of the namespaces. */
export interface Use {
  /** `inputs`, `model`, `data`; `now` for the function. */
  readonly root: string;
  /** Fields as far as they are written: `["web", "input", undefined, "x"]` for `model.web.input[e].x`. */
  readonly path: readonly (string | undefined)[];
  readonly call?: { readonly name: string; readonly args: readonly unknown[] };
  /** Where it stands. */
  readonly at: number;
}

/** Namespaces of functions: `data.latest(...)`. */
export const namespaces = ["data", "file", "vault", "json", "base64", "math", "strings"];
/** Names that aren't variables of ours. */
const constants = new Set([
  ...["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint", "dyn"],
  ...["google", "optional", "cel"],
]);
const macros = ["all", "exists", "exists_one", "map", "filter", "optMap", "optFlatMap"];
/** With three arguments or more: the first two are variables. */
const macrosOfTwo = ["all", "exists", "exists_one", "existsOne", "transformList", "transformMap"];

export function usesOf(tree: unknown): Use[] {
  const uses: Use[] = [];
  visit(tree, new Set(), uses);
  return uses;
}

export interface Node {
  readonly op: string;
  readonly args: unknown;
  readonly pos: number;
  readonly start: number;
  readonly end: number;
}

export function isNode(value: unknown): value is Node {
  return (
    typeof value === "object" &&
    value !== null &&
    "op" in value &&
    typeof value.op === "string" &&
    "start" in value &&
    typeof value.start === "number"
  );
}

/** The nodes directly below one. */
export function childrenOf({ args }: Node): Node[] {
  const flat = (value: unknown): Node[] => (isNode(value) ? [value] : Array.isArray(value) ? value.flatMap(flat) : []);
  return flat(args);
}

const access = new Set([".", ".?", "[]", "[?]"]);

function visit(node: unknown, bound: ReadonlySet<string>, uses: Use[]): void {
  if (Array.isArray(node)) {
    for (const child of node) visit(child, bound, uses);
    return;
  }
  if (!isNode(node)) return;
  if (node.op === "id" || access.has(node.op)) return visitChain(node, bound, uses);
  const args: unknown[] = Array.isArray(node.args) ? node.args : [node.args];
  if (node.op === "call") {
    if (args[0] === "now") uses.push({ root: "now", path: [], at: node.start });
    return visit(args[1], bound, uses);
  }
  if (node.op === "rcall") return visitMethod(node, args, bound, uses);
  visit(args, bound, uses);
}

/** `a.b[c].d`: one use of `a`, and whatever `c` uses. */
function visitChain(node: Node, bound: ReadonlySet<string>, uses: Use[]): void {
  const path: (string | undefined)[] = [];
  let base: unknown = node;
  while (isNode(base) && access.has(base.op) && Array.isArray(base.args)) {
    const [inner, field]: unknown[] = base.args;
    const written = literal(field);
    path.unshift(typeof written === "string" ? written : undefined);
    if (isNode(field)) visit(field, bound, uses);
    base = inner;
  }
  if (!isNode(base) || base.op !== "id") return visit(base, bound, uses);
  const root = String(base.args);
  if (!bound.has(root) && !constants.has(root)) uses.push({ root, path, at: base.start });
}

function visitMethod(node: Node, args: readonly unknown[], bound: ReadonlySet<string>, uses: Use[]): void {
  const [name, receiver, given] = args;
  const list: unknown[] = Array.isArray(given) ? given : [];
  const root = isNode(receiver) && receiver.op === "id" ? String(receiver.args) : "";
  if (namespaces.includes(root) && !bound.has(root)) {
    uses.push({ root, path: [], call: { name: String(name), args: list.map(literal) }, at: node.start });
    return visit(list, bound, uses);
  }
  const isBind = name === "bind" && root === "cel";
  if (!isBind) visit(receiver, bound, uses);
  if (macrosOfTwo.includes(String(name)) && list.length > 2) {
    const variables = list.slice(0, 2).flatMap((one) => (isNode(one) && one.op === "id" ? [String(one.args)] : []));
    return visit(list.slice(2), new Set([...bound, ...variables]), uses);
  }
  const variable = isNode(list[0]) && list[0].op === "id" ? String(list[0].args) : undefined;
  if (variable === undefined || !(isBind || macros.includes(String(name)))) return visit(list, bound, uses);
  const inner = new Set([...bound, variable]);
  if (!isBind) return visit(list.slice(1), inner, uses);
  visit(list[1], bound, uses);
  visit(list.slice(2), inner, uses);
}

/** The value that is written; undefined for what is computed. */
function literal(value: unknown): unknown {
  if (typeof value === "string") return value;
  if (!isNode(value)) return undefined;
  if (value.op === "value") return value.args;
  if (value.op !== "list" || !Array.isArray(value.args)) return undefined;
  const items = value.args.map(literal);
  return items.includes(undefined) ? undefined : items;
}
