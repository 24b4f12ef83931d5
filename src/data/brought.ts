/** What bringing versions from elsewhere has in common, wherever they go. */
import { createHash } from "node:crypto";
import { FenError } from "../kernel/errors.ts";
import type { Metadata } from "./metadata.ts";

export async function hashOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of bytes) hash.update(chunk);
  return hash.digest("hex");
}

export function otherContent({ name, version }: Metadata, path: string): FenError {
  return new FenError("data_exists", `There is another version ${version} of ${name}: ${path}`, {
    hint: "Choose a place that has no data of the same models.",
    facts: { path },
  });
}
