/** Conditional writes on S3, as the store was found to want them (trial.ts). Small objects, short patience: locks are made of them. */
import { FenError } from "../../../kernel/errors.ts";
import { compareCodePoints } from "../../../kernel/order.ts";
import type { ConditionalStore, Listed, PutCondition, PutOutcome, Versioned } from "../../conditional.ts";
import { bareEtag } from "./answers.ts";
import type { S3Client } from "./client.ts";
import { keyOf, keyStart, pathOf } from "./keys.ts";
import { listAll } from "./lists.ts";
import type { Limits } from "./transport.ts";
import { limitsFor } from "./upload.ts";

/** How `If-Match` names an etag. */
export type EtagForm = "quoted" | "bare";

/** No etag: there is no such object. */
const absent = "";
/** Of reads that were under way at the same time a few may be late. */
const mostDenied = 20;
/** Records and manifests stay far below; what is larger isn't one. */
const usualMaxBytes = 8 * 1024 * 1024;

export class S3ConditionalStore implements ConditionalStore {
  readonly #client: S3Client;
  readonly #prefix: string;
  readonly #etagForm: EtagForm | (() => Promise<EtagForm>);
  readonly #maxBytes: number;
  /** By key: the etag that the store said an object hadn't, and how often it has said since that it has. */
  readonly #refused = new Map<string, { readonly etag: string; readonly denied: number }>();

  /** `folder` within the datastore, such as `.fen`: keys are relative to it. Without one: to the datastore. */
  constructor(
    client: S3Client,
    options: {
      readonly folder?: string;
      /** Where it must be asked for, that is done before the first write. */
      readonly etagForm: EtagForm | (() => Promise<EtagForm>);
      readonly maxBytes?: number;
    },
  ) {
    this.#client = client;
    const { prefix } = client.place;
    this.#prefix = options.folder === undefined ? prefix : keyOf(prefix, options.folder);
    this.#etagForm = options.etagForm;
    this.#maxBytes = options.maxBytes ?? usualMaxBytes;
  }

  async get(key: string): Promise<Versioned | undefined> {
    const what = `read ${key}`;
    const limits = this.#limits(this.#maxBytes);
    const answer = await this.#client.send(
      { method: "GET", key: keyOf(this.#prefix, key), what, repeat: "always", limits },
      { maxBytes: this.#maxBytes },
    );
    if (answer.is === "absent") {
      this.#compare(key, absent);
      return undefined;
    }
    if (answer.is === "condition") throw strange(what);
    const etag = answer.header("etag");
    if (etag === undefined) throw strange(what);
    const read = { body: new TextDecoder().decode(answer.bytes), etag: bareEtag(etag) };
    this.#compare(key, read.etag);
    return read;
  }

  /** No etag comes twice. Who is told for ever one that isn't the object's would read and write for ever. */
  #compare(key: string, etag: string): void {
    const refused = this.#refused.get(key);
    if (refused?.etag !== etag) return void this.#refused.delete(key);
    if (refused.denied >= mostDenied) throw contradiction(key);
    this.#refused.set(key, { etag, denied: refused.denied + 1 });
  }

  async put(key: string, body: string, condition: PutCondition): Promise<PutOutcome> {
    const what = `write ${key}`;
    const bytes = new TextEncoder().encode(body);
    const form = typeof this.#etagForm === "string" ? this.#etagForm : await this.#etagForm();
    const answer = await this.#client.send({
      method: "PUT",
      key: keyOf(this.#prefix, key),
      headers: { "content-type": "application/json", ...conditionHeaders(condition, form) },
      body: bytes,
      what,
      repeat: "not done",
      limits: this.#limits(bytes.length),
    });
    // What isn't there hasn't the etag either.
    if (answer.is === "condition" || (answer.is === "absent" && "ifMatch" in condition)) {
      const etag = "ifMatch" in condition ? condition.ifMatch : absent;
      if (this.#refused.get(key)?.etag !== etag) this.#refused.set(key, { etag, denied: 0 });
      return { outcome: "refused" };
    }
    this.#refused.delete(key);
    const etag = answer.is === "success" ? answer.header("etag") : undefined;
    if (etag === undefined) throw strange(what);
    return { outcome: "done", etag: bareEtag(etag) };
  }

  /** What is meant to be large takes its time; locks have theirs. */
  #limits(size: number): Limits | undefined {
    return this.#maxBytes > usualMaxBytes ? limitsFor(size) : undefined;
  }

  async list(prefix: string): Promise<readonly Listed[]> {
    const listed: Listed[] = [];
    for await (const { key, etag, ageMs } of listAll(this.#client, `${keyStart(this.#prefix)}${prefix}`)) {
      const path = pathOf(this.#prefix, key);
      if (path !== undefined) listed.push({ key: path, etag, ...(ageMs === undefined ? {} : { ageMs }) });
    }
    return listed.sort((a, b) => compareCodePoints(a.key, b.key));
  }

  async remove(key: string): Promise<void> {
    await this.#client.send({
      method: "DELETE",
      key: keyOf(this.#prefix, key),
      what: `delete ${key}`,
      repeat: "always",
    });
  }
}

export function conditionHeaders(condition: PutCondition, form: EtagForm): Record<string, string> {
  if ("ifAbsent" in condition) return { "if-none-match": "*" };
  return { "if-match": form === "quoted" ? `"${condition.ifMatch}"` : condition.ifMatch };
}

function contradiction(key: string): FenError {
  return new FenError(
    "store_refused",
    `The store contradicts itself: it refuses to write ${key} on the condition of what it says, each time, is there.`,
    { hint: "Something between may change what it answers: a proxy or a cache. Use the store's own endpoint." },
  );
}

function strange(what: string): FenError {
  return new FenError("store_refused", `The store gave an answer that makes no sense (${what}).`, {
    hint: "Is the endpoint an S3 server? Something between may have answered in its place.",
  });
}
