/** What bringing versions from elsewhere has in common, wherever they go. */
import { FenError } from "../kernel/errors.ts";
import { ContentHash } from "../kernel/hash.ts";
import type { Metadata } from "./metadata.ts";

export async function hashOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = new ContentHash();
  for await (const chunk of bytes) hash.update(chunk);
  return hash.digest();
}

export function otherContent({ name, version }: Metadata, path: string): FenError {
  return new FenError("data_exists", `There is another version ${version} of ${name}: ${path}`, {
    hint: "Choose a place that has no data of the same models.",
    facts: { path },
  });
}
