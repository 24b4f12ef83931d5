/** The source as the house tests see it: files, their imports and their syntax trees. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseAst } from "rolldown/parseAst";

export const root = fileURLToPath(new URL("../..", import.meta.url));

export interface SourceFile {
  /** From the root, with `/`. */
  readonly path: string;
  readonly text: string;
}

export function sourceFiles(folder = "src"): SourceFile[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|cjs)$/.test(entry.name))
    .map((entry) => {
      const full = join(entry.parentPath, entry.name);
      return { path: relative(root, full).split(sep).join("/"), text: readFileSync(full, "utf8") };
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

/** Several tests look at the same files. */
const parsed = new Map<string, Node>();

export function parse(file: SourceFile): Node {
  const key = `${file.path}\0${file.text}`;
  const known = parsed.get(key);
  if (known !== undefined) return known;
  const tree: unknown = parseAst(
    file.text,
    {
      lang: file.path.endsWith(".ts") ? "ts" : "js",
      ...(file.path.endsWith(".cjs") ? { sourceType: "commonjs" } : {}),
    } as Parameters<typeof parseAst>[1],
    file.path,
  );
  if (!isNode(tree)) throw new Error(`can't parse ${file.path}`);
  parsed.set(key, tree);
  return tree;
}

export function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

/** Calls `visit` for each node, parents first. The list of its parents is good during the call only. */
export function walk(node: Node, visit: (node: Node, parents: readonly Node[]) => void, parents: Node[] = []): void {
  visit(node, parents);
  parents.push(node);
  for (const key in node) {
    const child = node[key];
    if (typeof child !== "object" || child === null || key === "parent") continue;
    if (Array.isArray(child)) {
      for (const one of child) if (isNode(one)) walk(one, visit, parents);
    } else if (isNode(child)) walk(child, visit, parents);
  }
  parents.pop();
}

/** Paths of the project's own files that a file imports. */
export function importsOf(file: SourceFile): string[] {
  const found: string[] = [];
  walk(parse(file), (node) => {
    const source = ["ImportDeclaration", "ExportNamedDeclaration", "ExportAllDeclaration", "ImportExpression"].includes(
      node.type,
    )
      ? node["source"]
      : undefined;
    if (!isNode(source) || typeof source["value"] !== "string" || !source["value"].startsWith(".")) return;
    found.push(
      relative(root, resolve(root, dirname(file.path), source["value"]))
        .split(sep)
        .join("/"),
    );
  });
  return found;
}

export function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}
