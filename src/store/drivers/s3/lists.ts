/** Lists, page by page. */
import { type ListedObject, type ListPage, readListPage } from "./answers.ts";
import type { S3Client } from "./client.ts";

const maxPageBytes = 16 * 1024 * 1024;

/** Every object whose key begins with `prefix` (whole, the datastore's prefix included), in the order of the store: one request per thousand. */
export async function* listAll(client: S3Client, prefix: string): AsyncIterable<ListedObject> {
  for await (const page of pagesOf(client, { prefix })) yield* page.objects;
}

/** Page by page; with a `delimiter` of `/`, what is further below is told as folders. */
export async function* pagesOf(client: S3Client, query: Readonly<Record<string, string>>): AsyncIterable<ListPage> {
  let token: string | undefined;
  do {
    const page = await listPage(client, { ...query, ...(token === undefined ? {} : { "continuation-token": token }) });
    yield page;
    token = page.next;
  } while (token !== undefined);
}

async function listPage(client: S3Client, query: Readonly<Record<string, string>>) {
  const answer = await client.send(
    {
      method: "GET",
      query: { "list-type": "2", "encoding-type": "url", ...query },
      what: `list ${query["prefix"]}`,
      repeat: "always",
    },
    { maxBytes: maxPageBytes },
  );
  if (answer.is !== "success") return readListPage(new Uint8Array());
  return readListPage(answer.bytes, Date.parse(answer.header("date") ?? ""));
}
