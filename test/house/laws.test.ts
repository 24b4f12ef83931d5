/** The three laws of docs/architecture.md, each with a planted violation that must be found. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { importsOf, isNode, lineOf, type Node, parse, root, type SourceFile, sourceFiles, walk } from "./source.ts";

const files = sourceFiles();
const production = files.filter((file) => !file.path.endsWith(".test.ts"));

// ---------------------------------------------------------------- imports run down

/** Top to bottom: a room may import from itself and from those below. */
const rooms = ["cli", "app", "workflow", "model", "expression", "data", "lock", "store", "repo", "kernel"];

function roomOf(path: string): string {
  return path.split("/")[1] ?? "";
}

function upwardImports(file: SourceFile): string[] {
  return importsOf(file)
    .filter((target) => target.startsWith("src/") && rooms.indexOf(roomOf(target)) < rooms.indexOf(roomOf(file.path)))
    .map((target) => `${file.path} imports ${target}`);
}

describe("imports", () => {
  test("the rooms are exactly these", () => {
    expect(readdirSync(join(root, "src")).sort()).toEqual([...rooms].sort());
  });

  test("no import runs up", () => {
    expect(production.flatMap(upwardImports)).toEqual([]);
  });

  test("an import that runs up is found", () => {
    expect(upwardImports({ path: "src/lock/x.ts", text: 'import { y } from "../app/y.ts";' })).toHaveLength(1);
  });
});

// ---------------------------------------------------------------- time, chance, process and console are passed in

const bannedNames = ["performance", "process", "console", "setTimeout", "setInterval", "setImmediate"];

function bannedGlobals(file: SourceFile): string[] {
  const found: string[] = [];
  const tell = (node: Node, what: string) => found.push(`${file.path}:${lineOf(file.text, node.start)}: ${what}`);
  walk(parse(file), (node, parents) => {
    const parent = parents.at(-1);
    if (
      node.type === "Identifier" &&
      typeof node["name"] === "string" &&
      bannedNames.includes(node["name"]) &&
      isFreeUse(node, parent) &&
      !isLocal(node["name"], parents)
    )
      tell(node, node["name"]);
    if (
      node.type === "NewExpression" &&
      nameOf(node["callee"]) === "Date" &&
      Array.isArray(node["arguments"]) &&
      node["arguments"].length === 0
    )
      tell(node, "new Date()");
    if (node.type === "MemberExpression" && `${nameOf(node["object"])}.${nameOf(node["property"])}` === "Date.now")
      tell(node, "Date.now");
    if (node.type === "MemberExpression" && `${nameOf(node["object"])}.${nameOf(node["property"])}` === "Math.random")
      tell(node, "Math.random");
    if (node.type === "ImportDeclaration" && isNode(node["source"]) && node["source"]["value"] === "node:crypto") {
      for (const one of Array.isArray(node["specifiers"]) ? node["specifiers"] : [])
        if (["randomUUID", "randomBytes"].includes(nameOf(one["imported"]))) tell(node, nameOf(one["imported"]));
    }
  });
  return found;
}

function nameOf(node: unknown): string {
  return isNode(node) && typeof node["name"] === "string" ? node["name"] : "";
}

/** A use of the global, not a property or parameter of that name. */
function isFreeUse(node: Node, parent: Node | undefined): boolean {
  if (parent === undefined) return false;
  if (parent.type === "MemberExpression" || parent.type === "Property" || parent.type.startsWith("TS"))
    return parent["object"] === node || parent["value"] === node;
  return (
    ![
      "ArrowFunctionExpression",
      "FunctionDeclaration",
      "VariableDeclarator",
      "PropertyDefinition",
      "MethodDefinition",
    ].includes(parent.type) || parent["init"] === node
  );
}

/** True inside of a function that has a parameter of that name. */
function isLocal(name: string, parents: readonly Node[]): boolean {
  return parents.some(
    (parent) => Array.isArray(parent["params"]) && parent["params"].some((one) => nameOf(one) === name),
  );
}

describe("globals", () => {
  test("clock, chance, process and console are used only in kernel and cli", () => {
    const elsewhere = production.filter((file) => !["kernel", "cli"].includes(roomOf(file.path)));
    expect(elsewhere.flatMap(bannedGlobals)).toEqual([]);
  });

  test.each([
    "const t = Date.now();",
    "const t = new Date();",
    "console.log(1);",
    "const p = process.env;",
    "setTimeout(f, 1);",
    'import { randomUUID } from "node:crypto";',
    "const r = Math.random();",
  ])("found: %s", (text) => {
    expect(bannedGlobals({ path: "src/lock/x.ts", text })).not.toEqual([]);
  });

  test("formatting a given time is fine", () => {
    expect(
      bannedGlobals({
        path: "src/lock/x.ts",
        text: "const t = new Date(ms).toISOString(); by.processes.map((process) => process.pid);",
      }),
    ).toEqual([]);
  });
});

// ---------------------------------------------------------------- no module state

function moduleState(file: SourceFile): string[] {
  const body = parse(file)["body"];
  const found: string[] = [];
  for (const statement of Array.isArray(body) ? body.filter(isNode) : []) {
    const inner =
      statement.type === "ExportNamedDeclaration" && isNode(statement["declaration"])
        ? statement["declaration"]
        : statement;
    if (inner.type === "ExpressionStatement" && !file.path.endsWith(".cjs"))
      found.push(`${file.path}:${lineOf(file.text, inner.start)}: a statement that runs at import`);
    if (inner.type !== "VariableDeclaration" || inner["declare"] === true) continue;
    if (inner["kind"] !== "const")
      found.push(`${file.path}:${lineOf(file.text, inner.start)}: top-level ${String(inner["kind"])}`);
    for (const declarator of Array.isArray(inner["declarations"]) ? inner["declarations"] : []) {
      const init: unknown = isNode(declarator) ? declarator["init"] : undefined;
      const empty =
        isNode(init) &&
        ((init.type === "NewExpression" &&
          ["Map", "Set", "WeakMap"].includes(nameOf(init["callee"])) &&
          Array.isArray(init["arguments"]) &&
          init["arguments"].length === 0) ||
          (init.type === "ArrayExpression" && Array.isArray(init["elements"]) && init["elements"].length === 0));
      if (empty)
        found.push(`${file.path}:${lineOf(file.text, inner.start)}: an empty collection that waits to be filled`);
    }
  }
  return found;
}

describe("module state", () => {
  test("there is none", () => {
    expect(production.flatMap(moduleState)).toEqual([]);
  });

  test.each(["let count = 0;", "const cache = new Map();", "export const all = [];", "register(x);"])(
    "found: %s",
    (text) => {
      expect(moduleState({ path: "src/lock/x.ts", text })).not.toEqual([]);
    },
  );
});

// ---------------------------------------------------------------- built-in modules that load late

/** The code cache's loader knows no `import()`: the bundler turns those of our own files into calls, but leaves built-in modules alone. */
const lateImport = /\bimport\("node:/;

describe("built-in modules", () => {
  test("load late by process.getBuiltinModule, not by import()", () => {
    expect(production.filter((file) => lateImport.test(file.text)).map((file) => file.path)).toEqual([]);
  });

  test("found: import()", () => {
    expect(lateImport.test('await import("node:readline/promises")')).toBe(true);
  });
});
