/** Nothing of S3 is loaded by commands that need no S3: it hangs on imports that wait until they are needed. */
import { expect, test } from "vitest";
import { importsOf, sourceFiles } from "./source.ts";

const production = sourceFiles().filter((file) => !file.path.endsWith(".test.ts"));
const isS3 = (path: string): boolean =>
  path.startsWith("src/store/drivers/s3/") ||
  path.startsWith("src/data/objects/") ||
  path === "src/app/s3-datastore.ts";

/** Imports that are made at once: not of types alone, and not by `import()`. */
function eager(path: string, text: string): string[] {
  const atOnce = text.replaceAll(/\bimport\(/g, "later(").replaceAll(/^import type [^;]+;/gm, "");
  return importsOf({ path, text: atOnce }).filter(isS3);
}

test("outside of what is S3 nothing imports it at once", () => {
  expect(production.filter((file) => !isS3(file.path)).flatMap((file) => eager(file.path, file.text))).toEqual([]);
});

test("the imports that wait are two", () => {
  const later = production.filter((file) => !isS3(file.path) && importsOf(file).some(isS3)).map((file) => file.path);
  expect(later).toEqual(["src/app/datastore-setup.ts", "src/app/workspace.ts"]);
});

test("an import at once is found, one of a type isn't", () => {
  const from = 'from "../store/drivers/s3/client.ts";';
  expect(eager("src/app/x.ts", `import { S3Client } ${from}`)).toHaveLength(1);
  expect(eager("src/app/x.ts", `import type { S3Client } ${from}`)).toEqual([]);
});

test("the AWS SDK is imported in one place, and only when keys of the environment don't do", () => {
  const files = production.filter((file) => file.text.includes("@aws-sdk")).map((file) => file.path);
  expect(files).toEqual(["src/store/drivers/s3/aws-chain.ts"]);
  const users = production.filter((file) => file.text.includes("aws-chain.ts"));
  expect(users.map((file) => file.path)).toEqual(["src/store/drivers/s3/credentials.ts"]);
  expect(users[0]?.text).toContain('await import("./aws-chain.ts")');
  expect(users[0]?.text).not.toMatch(/from "\.\/aws-chain/);
});
