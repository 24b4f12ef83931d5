/** New objects, small ones in one request, large ones in parts. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { FenError, storeError } from "../../../kernel/errors.ts";
import { readCompletion, readUploadId } from "./answers.ts";
import { type Body, isUnknown, type S3Client } from "./client.ts";
import type { Content } from "../../objects.ts";
import { sha256 } from "./sign.ts";
import type { Limits } from "./transport.ts";
import { abandon } from "./unfinished.ts";
import { escapeXml } from "./xml.ts";

interface Target {
  readonly key: string;
  readonly path: string;
  /** In the object's metadata: tells our put from others'. */
  readonly nonce: string;
}

/** Above this in parts of this size; 10,000 parts at most make 160 GB. */
export const partBytes = 16 * 1024 * 1024;
const partsAtOnce = 3;
const maxParts = 10_000;
const settleAttempts = 3;
/** A slow link gets a large object through; one that stands still is noticed by the limit on quiet. */
const bytesPerMs = 32;
const longestMs = 24 * 3_600_000;

/** Where nobody knows whether it was done, the object itself tells whose it is. */
export async function settledPut(client: S3Client, target: Target, content: Content): Promise<"put" | "taken"> {
  const { key, path, nonce } = target;
  for (let tried = 1; ; tried++) {
    let failure: unknown;
    try {
      if (await tryPut(client, target, content)) return "put";
    } catch (error) {
      if (!isUnknown(error)) throw error;
      failure = error;
    }
    const found = await client.send({ method: "HEAD", key, what: `look at ${path}`, repeat: "always" });
    if (found.is === "success") return found.header("x-amz-meta-nonce") === nonce ? "put" : "taken";
    if (tried >= settleAttempts) throw failure ?? unsettled(path);
  }
}

/** False where the key is taken, by us or by others. */
async function tryPut(client: S3Client, target: Target, content: Content): Promise<boolean> {
  const answer = await client.send({
    method: "PUT",
    key: target.key,
    headers: { ...metadata(target, content), "if-none-match": "*" },
    body: bodyOf(content),
    what: `write ${target.path}`,
    repeat: "not done",
    limits: limitsFor(content.size),
  });
  return answer.is === "success";
}

/**
 * All parts, or nothing: what was uploaded is given up where it can't be completed. Not every store knows conditions on the end of an upload; so the key
 * is claimed first, by an empty object of ours on the condition that there is none. Nobody else writes there from then on.
 */
export async function uploadParts(client: S3Client, target: Target, content: Content): Promise<"put" | "taken"> {
  if (content.size > partBytes * maxParts)
    throw new FenError("file_too_large", `${target.path} is too large for the store: ${content.size} bytes.`, {
      hint: `The limit is ${partBytes * maxParts} bytes.`,
      facts: { path: target.path },
    });
  const claim = contentOf(new Uint8Array(), content.contentType);
  if ((await settledPut(client, target, claim)) === "taken") return "taken";
  const what = `write ${target.path}`;
  const begun = await client.send({
    method: "POST",
    key: target.key,
    query: { uploads: "" },
    headers: metadata(target, content),
    what,
    repeat: "always",
  });
  const upload = { client, target, what, id: readUploadId(begun.is === "success" ? begun.bytes : new Uint8Array()) };
  try {
    await complete(upload, await sendParts(upload, content), content.size);
    return "put";
  } catch (error) {
    await giveUp(upload).catch(() => undefined); // the first error is the one to tell; a clean-up finds what is left
    throw error;
  }
}

interface Upload {
  readonly client: S3Client;
  readonly target: Target;
  readonly what: string;
  readonly id: string;
}

/** Reads the file once, from front to back, hashing it; a few parts are under way at the same time. */
async function sendParts(upload: Upload, content: Content): Promise<readonly string[]> {
  const hash = createHash("sha256");
  const etags: string[] = [];
  const underWay = new Set<Promise<void>>();
  let number = 0;
  try {
    for await (const part of partsOf(content)) {
      hash.update(part);
      const index = number++;
      const sent = sendPart(upload, index + 1, part).then((etag) => {
        etags[index] = etag;
      });
      const tracked: Promise<void> = sent.finally(() => underWay.delete(tracked));
      underWay.add(tracked);
      if (underWay.size >= partsAtOnce) await Promise.race(underWay);
    }
    await Promise.all(underWay);
  } finally {
    // Those that are still under way when one failed: an upload that is given up must have no part on its way.
    await Promise.allSettled(underWay);
  }
  if (hash.digest("hex") !== content.sha256)
    throw new FenError("data_corrupt", `${upload.target.path} changed while it was sent to the store.`, {
      next: "run the command again.",
      facts: { path: upload.target.path },
    });
  return etags;
}

async function sendPart({ client, target, what, id }: Upload, number: number, body: Uint8Array): Promise<string> {
  const answer = await client.send({
    method: "PUT",
    key: target.key,
    query: { partNumber: String(number), uploadId: id },
    body,
    what,
    repeat: "always",
    limits: limitsFor(body.length),
  });
  const etag = answer.is === "success" ? answer.header("etag") : undefined;
  if (etag === undefined)
    throw new FenError("store_refused", `The store took no part of ${target.path}.`, {
      next: "run the command again.",
    });
  return etag;
}

async function complete({ client, target, what, id }: Upload, etags: readonly string[], size: number): Promise<void> {
  const parts = etags.map(
    (etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${escapeXml(etag)}</ETag></Part>`,
  );
  let failure: unknown = new FenError("store_unavailable", `The store could not complete ${target.path}.`, {
    next: "run the command again later.",
  });
  try {
    const answer = await client.send({
      method: "POST",
      key: target.key,
      query: { uploadId: id },
      headers: { "content-type": "application/xml" },
      body: new TextEncoder().encode(`<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`),
      what,
      repeat: "always",
      limits: limitsFor(size),
    });
    if (answer.is === "success" && readCompletion(answer.bytes) !== undefined) return;
  } catch (error) {
    failure = error;
  }
  // An attempt of which nothing was heard may have done it: then there is no upload any more, but the object.
  const found = await client.send({ method: "HEAD", key: target.key, what, repeat: "always" });
  const isOurs = found.is === "success" && found.header("x-amz-meta-nonce") === target.nonce;
  if (!isOurs || Number(found.header("content-length")) !== size) throw failure;
}

async function giveUp({ client, target, id }: Upload): Promise<void> {
  await abandon(client, { key: target.key, id }, `give up the parts of ${target.path}`);
}

function unsettled(path: string): FenError {
  return new FenError("store_unavailable", `The store says that ${path} is there, and that it isn't.`, {
    next: "run the command again later.",
  });
}

function metadata({ nonce }: Target, content: Content): Record<string, string> {
  return { "content-type": content.contentType, "x-amz-meta-sha256": content.sha256, "x-amz-meta-nonce": nonce };
}

function bodyOf({ source, size, sha256: hash }: Content): Body {
  if (source instanceof Uint8Array) return source;
  return { size, sha256: hash, open: () => createReadStream(source.file) };
}

/** For so much, in either direction. */
export function limitsFor(size: number): Limits {
  return { wholeMs: Math.min(30_000 + size / bytesPerMs, longestMs), quietMs: 20_000 };
}

async function* partsOf({ source, size }: Content): AsyncIterable<Uint8Array> {
  if (source instanceof Uint8Array) {
    for (let at = 0; at < size; at += partBytes) yield source.subarray(at, at + partBytes);
    return;
  }
  let chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of createReadStream(source.file, { highWaterMark: 1024 * 1024 })) {
      chunks.push(chunk);
      length += chunk.length;
      if (length < partBytes) continue;
      yield Buffer.concat(chunks);
      [chunks, length] = [[], 0];
    }
  } catch (error) {
    throw storeError(error, "the file", source.file);
  }
  if (length > 0) yield Buffer.concat(chunks);
}

/** Bytes as content. */
export function contentOf(bytes: Uint8Array, contentType: string): Content {
  return { source: bytes, size: bytes.length, sha256: sha256(bytes), contentType };
}
