/** Uploads in parts that nobody will complete: whoever sent them was killed. Their parts are in no list of objects, and cost as much as objects. */
import { FenError } from "../../../kernel/errors.ts";
import { type ListedUpload, readUploads } from "./answers.ts";
import type { S3Client } from "./client.ts";

const maxPageBytes = 16 * 1024 * 1024;

/**
 * Those whose key begins with `prefix` (whole, the datastore's prefix included), and that are older than so much: by the store's clock alone, which
 * says when they were begun, and in each answer what time it is. A store that can't list them, or doesn't let us, has none.
 */
export async function unfinishedUploads(
  client: S3Client,
  prefix: string,
  { olderThanMs }: { readonly olderThanMs: number },
): Promise<readonly ListedUpload[]> {
  const found: ListedUpload[] = [];
  let from: Readonly<Record<string, string>> | undefined = {};
  while (from !== undefined) {
    const page = await pageOf(client, prefix, from);
    if (page === undefined) return found;
    // An age that nobody knows isn't one; and what doesn't begin so isn't ours, whatever the store thinks.
    const isOld = ({ begunAt }: ListedUpload) => page.now - begunAt >= olderThanMs;
    found.push(...page.uploads.filter((one) => one.key.startsWith(prefix) && isOld(one)));
    from = page.next;
  }
  return found;
}

/** Removes the parts of one. No error where it is gone already. */
export async function abandon(
  client: S3Client,
  { key, id }: Pick<ListedUpload, "key" | "id">,
  what: string,
): Promise<void> {
  await client.send({ method: "DELETE", key, query: { uploadId: id }, what, repeat: "always" });
}

async function pageOf(client: S3Client, prefix: string, from: Readonly<Record<string, string>>) {
  try {
    const answer = await client.send(
      {
        method: "GET",
        query: { uploads: "", prefix, ...from }, // keys as they are: Ceph 16 encodes them when asked, and does not say so
        what: "list uploads that were not completed",
        repeat: "always",
      },
      { maxBytes: maxPageBytes },
    );
    if (answer.is !== "success") return undefined;
    return { ...readUploads(answer.bytes), now: Date.parse(answer.header("date") ?? "") };
  } catch (error) {
    if (error instanceof FenError && ["store_denied", "store_refused", "store_unsuited"].includes(error.code))
      return undefined;
    throw error;
  }
}
