/** One object into one file: written aside, checked, then renamed. A transfer that breaks off goes on where it stopped, if the object is still the same. */
import { createHash } from "node:crypto";
import { closeSync, renameSync } from "node:fs";
import { FenError, storeError } from "../../../kernel/errors.ts";
import { asidePath, openInMadeFolder, removeFile, writeAll } from "../../../kernel/files.ts";
import { type S3Client, type S3Stream, unheard } from "./client.ts";
import { corrupt } from "./refusals.ts";
import { NoAnswer } from "./transport.ts";
import { limitsFor } from "./upload.ts";

interface Download {
  readonly key: string;
  readonly path: string;
  readonly file: string;
  readonly maxBytes: number;
  readonly sha256?: string;
  readonly signal?: AbortSignal;
}

const attempts = 5;

/** False where the store says that there is no such object; nothing is left then, nor where it fails. */
export async function downloadTo(client: S3Client, download: Download): Promise<boolean> {
  const aside = asidePath(download.file);
  let fd: number | undefined;
  try {
    const first = await ask(client, download, 0);
    if (first === undefined) return false;
    fd = openInMadeFolder(aside, "wx", { mode: 0o600 });
    await receive(client, download, { fd, first });
    closeSync(fd);
    fd = undefined;
    renameSync(aside, download.file);
    return true;
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    removeFile(aside);
    throw error instanceof FenError || download.signal?.aborted === true
      ? error
      : storeError(error, "the file", download.file);
  }
}

type Begun = Extract<S3Stream, { is: "success" }>;

function ask(client: S3Client, { key, path, maxBytes }: Download, from: number): Promise<Begun | undefined> {
  return client
    .open({
      method: "GET",
      key,
      what: `read ${path}`,
      repeat: "always",
      limits: limitsFor(maxBytes),
      ...(from === 0 ? {} : { headers: { range: `bytes=${from}-` } }),
    })
    .then((answer) => (answer.is === "success" ? answer : undefined));
}

async function receive(
  client: S3Client,
  download: Download,
  { fd, first }: { readonly fd: number; readonly first: Begun },
): Promise<void> {
  const { path, maxBytes, signal } = download;
  const hash = createHash("sha256");
  const size = Number(first.header("content-length"));
  const expected = download.sha256 ?? first.header("x-amz-meta-sha256");
  const etag = first.header("etag");
  if (!(size <= maxBytes)) throw tooLarge(path, size, maxBytes);
  let got = 0;
  let answer = first;
  for (let attempt = 1; ; attempt++) {
    try {
      for await (const chunk of answer.body) {
        signal?.throwIfAborted();
        got += chunk.length;
        if (got > size) throw corrupt(path);
        hash.update(chunk);
        writeAll(fd, chunk);
      }
      if (got === size) break;
      throw new NoAnswer(new Error("the answer was too short"), true);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      if (attempt >= attempts) throw unheard(error, client.place, `read ${path}`);
      const next = await ask(client, download, got);
      // Immutable objects don't change; where one did, what we have is of no use.
      if (next === undefined || next.header("etag") !== etag || (got > 0 && next.status !== 206)) throw corrupt(path);
      answer = next;
    }
  }
  if (expected !== undefined && hash.digest("hex") !== expected) throw corrupt(path);
}

function tooLarge(path: string, size: number, maxBytes: number): FenError {
  return new FenError(
    "file_too_large",
    `The object is too large: ${path} has ${size} bytes, the limit is ${maxBytes}.`,
    {
      hint: "Is it the right object?",
      facts: { path, maxBytes },
    },
  );
}
