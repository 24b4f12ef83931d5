/** The shipped JSON Schemas, compiled: what a document of a command, an event or an error may look like. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv2020 } from "ajv/dist/2020.js";

const folder = fileURLToPath(new URL("../../schemas/", import.meta.url));

/** Names of all schemas: `model-get`, `error`, ... */
export const schemaNames: readonly string[] = readdirSync(folder).map((file) => file.replace(/\.json$/, ""));

export function readSchema(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(`${folder}${name}.json`, "utf8"));
}

const ajv = new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true, allErrors: true });
for (const name of schemaNames) ajv.addSchema(readSchema(name));

/** What is wrong with a document, one line each; empty where it fits. */
export function problemsOf(name: string, document: unknown): string[] {
  const validate = ajv.getSchema(`${name}.json`);
  if (validate === undefined) throw new Error(`there is no schema ${name}`);
  if (validate(document) === true) return [];
  return (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${name}${instancePath}: ${message} ${JSON.stringify(params)}`,
  );
}
