/** Every command says in a shipped JSON Schema what it prints; no schema is left over. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { catalog } from "../../src/cli/catalog.ts";
import { exitCodes } from "../../src/cli/exit-codes.ts";
import { commandTree, schemaOf } from "../../src/cli/help.ts";
import { errorCodes } from "../../src/kernel/error-codes.ts";
import { problemsOf, readSchema, schemaNames } from "../support/schemas.ts";
import { isNode, parse, root, type SourceFile, sourceFiles, walk } from "./source.ts";

const shared = ["common", "error", "events"];

describe("schemas", () => {
  test("every command has one, and every one has a command", () => {
    const named = catalog.map((command) => schemaOf(command.path).replace(/^schemas\/|\.json$/g, ""));
    expect([...new Set(named), ...shared].sort()).toEqual([...schemaNames].sort());
  });

  test("they are part of the package", () => {
    expect(JSON.parse(readFileSync(join(root, "package.json"), "utf8")).files).toContain("schemas");
  });

  test("every one is a JSON Schema of draft 2020-12 under its own name", () => {
    for (const name of schemaNames) {
      expect(readSchema(name)).toMatchObject({
        $schema: "https://json-schema.org/draft/2020-12/schema",
        $id: `${name}.json`,
        description: expect.stringMatching(/\w/),
      });
      expect(() => problemsOf(name, {}), name).not.toThrow();
    }
  });

  test("objects are closed: only the maps that belong to users and types are open", () => {
    const open = schemaNames.flatMap((name) => openObjects(readSchema(name), name));
    expect(open).toEqual([
      "common/$defs/lockFields", // closed where it is used
      "data-get/properties/ownerDefinition",
      "model-output-get/properties/provenance",
    ]);
  });

  test("the error schema knows exactly the codes that there are", () => {
    expect(errorFields()["code"]).toMatchObject({ enum: Object.keys(errorCodes) });
  });

  test("the error schema knows every fact that an error carries", () => {
    const known = Object.keys(errorFields());
    const facts = sourceFiles()
      .filter(({ path }) => !path.endsWith(".test.ts"))
      .flatMap(factsIn);
    expect(facts.length).toBeGreaterThan(20);
    expect(facts.filter((fact) => !known.includes(fact))).toEqual([]);
    expect(factsIn({ path: "src/x.ts", text: 'new FenError("usage", "x", { facts: { one: 1, two } });' })).toEqual([
      "one",
      "two",
    ]);
  });

  test("a field that is not documented is found", () => {
    expect(problemsOf("version", { version: "1", more: 1 })).toHaveLength(1);
    expect(problemsOf("events", { event: "warning", message: "x", more: 1 })).not.toEqual([]);
    expect(problemsOf("error", { error: { code: "usage", message: "x", retryable: false, more: 1 } })).toHaveLength(1);
    expect(
      problemsOf("datastore-lock-status", {
        datastore: null,
        models: [{ resource: "a/b", state: "held", processes: [], path: "/x", more: 1 }],
        waiting: [],
      }),
    ).not.toEqual([]);
  });
});

describe("the command line as data", () => {
  test("fits its own schema, and leads to every schema of a command that isn't hidden", () => {
    const root = commandTree();
    const visible = catalog.filter((command) => command.hidden !== true).map((command) => schemaOf(command.path));
    expect(schemasIn(root).sort()).toEqual(visible.sort());
    expect(
      problemsOf("help", { version: "1", root, exitCodes: Object.values(exitCodes), errorCodes: [], errorSchema: "x" }),
    ).toEqual([]);
  });
});

describe("tests of commands", () => {
  const folder = join(root, "test/e2e/commands");
  const text = readdirSync(folder)
    .map((file) => readFileSync(join(folder, file), "utf8"))
    .join("\n");
  const paths = catalog.map((command) => command.path.join(" "));

  test.each(paths)("fen %s is held to its schema, and to an error", (path) => {
    const words = `["'\`]${path}\\b`;
    expect(new RegExp(`documentOf\\(\\s*\\w+,\\s*${words}`).test(text)).toBe(true);
    // Directly, or as a row of a table of what is refused.
    expect(new RegExp(`(errorOf\\(\\s*\\w+,\\s*|[[,]\\s*)${words}`).test(text)).toBe(true);
  });
});

function errorFields(): Record<string, unknown> {
  const schema = readSchema("error") as { $defs: { error: { properties: Record<string, unknown> } } }; // the tests above hold its shape
  return schema.$defs.error.properties;
}

/** Names of the facts that a file gives to its errors, where they are written out. */
function factsIn(file: SourceFile): string[] {
  const found: string[] = [];
  walk(parse(file), (node) => {
    const { key, value } = node;
    if (node.type !== "Property" || !isNode(key) || key["name"] !== "facts" || !isNode(value)) return;
    for (const one of Array.isArray(value["properties"]) ? value["properties"].filter(isNode) : [])
      if (isNode(one["key"])) found.push(String(one["key"]["name"]));
  });
  return found;
}

/** Paths of object schemas that have properties but admit others. */
function openObjects(schema: unknown, path: string): string[] {
  if (typeof schema !== "object" || schema === null) return [];
  const fields: Record<string, unknown> = { ...schema };
  const below = Object.entries(fields).flatMap(([key, value]) => openObjects(value, `${path}/${key}`));
  const isOpen =
    fields["type"] === "object" &&
    typeof fields["properties"] === "object" &&
    fields["additionalProperties"] === undefined &&
    fields["unevaluatedProperties"] === undefined;
  return isOpen ? [path, ...below] : below;
}

function schemasIn(tree: ReturnType<typeof commandTree>): string[] {
  return [...(tree.schema === undefined ? [] : [tree.schema]), ...tree.subcommands.flatMap(schemasIn)];
}
