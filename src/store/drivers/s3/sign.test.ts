/** The examples of the published description of signature version 4 for S3. */
import { expect, test } from "vitest";
import { encodePath, queryString, sha256, sign } from "./sign.ts";

const credentials = {
  accessKeyId: "AKIAIOSFODNN7EXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};
const when = { region: "us-east-1", now: Date.parse("2013-05-24T00:00:00Z") };
const empty = {
  method: "GET",
  host: "examplebucket.s3.amazonaws.com",
  path: "/",
  query: {},
  headers: {},
  bodyHash: sha256(""),
};

const examples: readonly { what: string; request: Partial<typeof empty>; signature: string }[] = [
  {
    what: "a read with a range",
    request: { path: "/test.txt", headers: { range: "bytes=0-9" } },
    signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
  },
  {
    what: "a write with a body and a path to be encoded",
    request: {
      method: "PUT",
      path: encodePath("/test$file.text"),
      headers: { date: "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY" },
      bodyHash: sha256("Welcome to Amazon S3."),
    },
    signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
  },
  {
    what: "a query without a value",
    request: { query: { lifecycle: "" } },
    signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
  },
  {
    what: "a list",
    request: { query: { prefix: "J", "max-keys": "2" } },
    signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
  },
];

test.each(examples)("$what is signed as published", ({ request, signature }) => {
  expect(sign({ ...empty, ...request }, credentials, when)["authorization"]).toMatch(`Signature=${signature}`);
});

test("a session token is sent and signed", () => {
  const headers = sign(empty, { ...credentials, sessionToken: "token" }, when);
  expect(headers["x-amz-security-token"]).toBe("token");
  expect(headers["authorization"]).toContain("x-amz-security-token");
});

test("a path keeps its slashes, and what a URL would take for something else is encoded", () => {
  expect(encodePath("a b/ü+%/!'()*/?#")).toBe("a%20b/%C3%BC%2B%25/%21%27%28%29%2A/%3F%23");
  expect(queryString({ b: "1/2", a: "" })).toBe("a=&b=1%2F2");
});
