/**
 * Whole objects of a datastore, from files and into files. What is put is there whole or not at all, and so is what is got; both are checked by their
 * hash. Content is immutable: it is written under a key that is used once, and who finds the key taken is told.
 */
import { createHash } from "node:crypto";
import { FenError } from "../../../kernel/errors.ts";
import type { Content, ObjectInfo, ObjectStore } from "../../objects.ts";
import { bareEtag, readDeletion } from "./answers.ts";
import type { S3Client, S3Request } from "./client.ts";
import { downloadTo } from "./download.ts";
import { corrupt } from "./refusals.ts";
import { isSafePath, keyOf, keyStart, pathOf } from "./keys.ts";
import { pagesOf } from "./lists.ts";
import { sha256 } from "./sign.ts";
import { abandon, unfinishedUploads } from "./unfinished.ts";
import { limitsFor, partBytes, settledPut, uploadParts } from "./upload.ts";
import { escapeXml } from "./xml.ts";

interface HeadInfo extends ObjectInfo {
  readonly etag: string;
  /** Of the content, hexadecimal, where its writer left it. */
  readonly sha256?: string;
}

/** S3 takes so many keys in one request. */
const deleteBatch = 1000;
/** A word for each, where all of them are refused. */
const maxDeletionBytes = 8 * 1024 * 1024;

export class S3Objects implements ObjectStore {
  readonly #client: S3Client;

  constructor(client: S3Client) {
    this.#client = client;
  }

  /**
   * Puts a new object; `taken` where there is one already that isn't this very put (`nonce` tells). Large content goes in parts, of which nothing is
   * seen before all are there. Throws `store_unavailable` (then asking again with the same nonce does no harm) and the others of the client.
   */
  async create(path: string, content: Content, options: { readonly nonce: string }): Promise<"put" | "taken"> {
    const key = keyOf(this.#client.place.prefix, path);
    const target = { key, path, nonce: options.nonce };
    return content.size > partBytes
      ? uploadParts(this.#client, target, content)
      : settledPut(this.#client, target, content);
  }

  /** Puts an object whatever is there: for what has one writer at a time, such as records. */
  async put(path: string, bytes: Uint8Array, options: { readonly contentType?: string } = {}): Promise<void> {
    await this.#client.send({
      method: "PUT",
      key: this.#key(path),
      headers: {
        "content-type": options.contentType ?? "application/octet-stream",
        "x-amz-meta-sha256": sha256(bytes),
      },
      body: bytes,
      what: `write ${path}`,
      repeat: "always",
      limits: limitsFor(bytes.length),
    });
  }

  /** The whole object, or undefined where the store says that there is none. Larger than `maxBytes`: `file_too_large`. Hash, where known, is checked. */
  async get(
    path: string,
    options: { readonly maxBytes: number; readonly sha256?: string },
  ): Promise<Uint8Array | undefined> {
    const limits = limitsFor(options.maxBytes);
    const answer = await this.#client.send({ ...this.#request("GET", path, "read"), limits }, options);
    if (answer.is !== "success") return undefined;
    const expected = options.sha256 ?? answer.header("x-amz-meta-sha256");
    if (expected !== undefined && sha256(answer.bytes) !== expected) throw corrupt(path);
    return answer.bytes;
  }

  /**
   * Gets an object into a new file that appears under its name when it is complete and checked; false where there is no such object.
   * Broken transfers go on where they broke off.
   */
  getTo(
    path: string,
    file: string,
    options: { readonly maxBytes: number; readonly sha256?: string; readonly signal?: AbortSignal },
  ): Promise<boolean> {
    return downloadTo(this.#client, { key: this.#key(path), path, file, ...options });
  }

  async head(path: string): Promise<HeadInfo | undefined> {
    const answer = await this.#client.send(this.#request("HEAD", path, "look at"));
    if (answer.is !== "success") return undefined;
    const hash = answer.header("x-amz-meta-sha256");
    const modifiedAt = Date.parse(answer.header("last-modified") ?? "");
    const ageMs = Date.parse(answer.header("date") ?? "") - modifiedAt;
    return {
      path,
      size: Number(answer.header("content-length")),
      modifiedAt,
      ...(Number.isNaN(ageMs) ? {} : { ageMs }),
      etag: bareEtag(answer.header("etag") ?? ""),
      ...(hash === undefined ? {} : { sha256: hash }),
    };
  }

  /** What is below a folder of the datastore (all of it, if empty), in the order of keys; one request per thousand. Keys that can't be paths are left out. */
  async *list(folder: string, { after }: { readonly after?: string } = {}): AsyncIterable<ObjectInfo> {
    const from = after === undefined ? {} : { "start-after": this.#key(after) };
    for await (const { objects } of pagesOf(this.#client, { prefix: this.#start(folder), ...from }))
      for (const { key, etag, size, modifiedAt } of objects) {
        const path = pathOf(this.#client.place.prefix, key);
        if (path !== undefined) yield { path, etag, size, modifiedAt };
      }
  }

  async entries(folder: string): Promise<{ readonly folders: readonly string[]; readonly objects: readonly string[] }> {
    const start = this.#start(folder);
    const [folders, objects]: [string[], string[]] = [[], []];
    for await (const page of pagesOf(this.#client, { prefix: start, delimiter: "/" })) {
      folders.push(...page.folders.map((key) => key.slice(start.length, -1)));
      objects.push(...page.objects.map(({ key }) => key.slice(start.length)));
    }
    return { folders: folders.filter(isSafePath), objects: objects.filter(isSafePath) };
  }

  async abandonUploads(folder: string, options: { readonly olderThanMs: number }): Promise<number> {
    const uploads = await unfinishedUploads(this.#client, this.#start(folder), options);
    for (const upload of uploads) await abandon(this.#client, upload, "give up an upload that nobody completed");
    return uploads.length;
  }

  locate(path: string): string {
    return `s3://${this.#client.place.bucket}/${this.#key(path)}`;
  }

  /** The beginning of the keys in a folder. */
  #start(folder: string): string {
    const { prefix } = this.#client.place;
    return folder === "" ? keyStart(prefix) : `${this.#key(folder)}/`;
  }

  /** No error for what isn't there. Throws `store_denied` or `store_unavailable` with the paths that are left. */
  async removeAll(paths: readonly string[]): Promise<void> {
    for (let at = 0; at < paths.length; at += deleteBatch) await this.#removeBatch(paths.slice(at, at + deleteBatch));
  }

  async #removeBatch(paths: readonly string[]): Promise<void> {
    const entries = paths.map((path) => `<Object><Key>${escapeXml(this.#key(path))}</Key></Object>`).join("");
    const body = new TextEncoder().encode(`<Delete><Quiet>true</Quiet>${entries}</Delete>`);
    const what = `delete ${paths.length === 1 ? paths[0] : `${paths.length} objects`}`;
    const answer = await this.#client.send(
      {
        method: "POST",
        query: { delete: "" },
        // S3 insists on this hash for this one request.
        headers: { "content-md5": createHash("md5").update(body).digest("base64") },
        body,
        what,
        repeat: "always",
      },
      { maxBytes: maxDeletionBytes },
    );
    const failed = answer.is === "success" ? readDeletion(answer.bytes) : [];
    const [first] = failed;
    if (first === undefined) return;
    const left = failed.map(({ key }) => pathOf(this.#client.place.prefix, key) ?? key);
    throw new FenError(
      first.code === "AccessDenied" ? "store_denied" : "store_unavailable",
      `The store could not ${what}: ${first.code} for ${failed.length} of them, such as ${left[0]}`,
      { remedy: "Check what the bucket's policy permits", facts: { paths: left } },
    );
  }

  #key(path: string): string {
    return keyOf(this.#client.place.prefix, path);
  }

  #request(method: "GET" | "HEAD", path: string, verb: string): S3Request {
    return { method, key: this.#key(path), what: `${verb} ${path}`, repeat: "always" };
  }
}
