/**
 * Requests to one bucket: signed, counted, bounded in time, and asked again where that can do no harm. Who asks for something that must not be done
 * twice says so (`repeat`), and is told where nobody knows whether it was done (`store_unavailable` with the fact `unknown`).
 */
import type { Readable } from "node:stream";
import { FenError } from "../../../kernel/errors.ts";
import type { Machine } from "../../../kernel/machine.ts";
import { type CredentialSource, credentialSource } from "./credentials.ts";
import type { S3Place } from "./place.ts";
import { type Meaning, meaningOf, readRefusal, type Refusal, refusalError } from "./refusals.ts";
import { encodePath, queryString, sha256, sign } from "./sign.ts";
import { type HttpAnswer, type Limits, NoAnswer, Transport } from "./transport.ts";

export interface S3Request {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** Undefined: the bucket itself. */
  readonly key?: string | undefined;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Body | undefined;
  /** For people: "read data/x". */
  readonly what: string;
  /** `always`: doing it twice is as doing it once. `not done`: only what the store turned away, or what never got there. */
  readonly repeat: "always" | "not done";
  readonly limits?: Limits | undefined;
}

/** What can be sent more than once. */
export type Body = Uint8Array | { readonly size: number; readonly sha256: string; readonly open: () => Readable };

interface Success {
  readonly is: "success";
  readonly status: number;
  header(name: string): string | undefined;
}

/** `absent` and `condition` are answers; everything else that isn't a success is thrown. */
export type S3Answer = (Success & { readonly bytes: Uint8Array }) | NotThere;
/** The body piece by piece: `NoAnswer` where it breaks off. */
export type S3Stream = (Success & { readonly body: AsyncIterable<Uint8Array> }) | NotThere;
type NotThere = { readonly is: "absent" } | { readonly is: "condition" };

export interface ClientOptions {
  /** At once. */
  readonly connections: number;
  readonly limits: Limits;
  /** Attempts at one request, the first included. */
  readonly attempts: number;
}

const maxSmallBytes = 256 * 1024;
const maxErrorBytes = 256 * 1024;
const firstPauseMs = 40;
const longestPauseMs = 2000;
/** Stores put up with clocks that are off by minutes. */
const nearMs = 30_000;

export class S3Client {
  readonly place: S3Place;
  readonly machine: Machine;
  /** How many requests were sent, by kind: what a command costs. */
  readonly sent = { get: 0, head: 0, list: 0, put: 0, post: 0, delete: 0 };
  readonly #transport: Transport;
  readonly #credentials: CredentialSource;
  readonly #options: ClientOptions;
  /** How far the store's clock is ahead of ours, milliseconds: it signs by its own. */
  #aheadMs = 0;

  constructor(place: S3Place, machine: Machine, options: ClientOptions, credentials = credentialSource(machine)) {
    this.place = place;
    this.machine = machine;
    this.#options = options;
    this.#credentials = credentials;
    this.#transport = new Transport(place, machine, options);
  }

  /**
   * The answer, which must not be larger than `maxBytes`. Throws `store_unavailable`, `store_denied`, `store_refused`, `store_unsuited`,
   * `datastore_invalid`, `credentials_missing`, `file_too_large`.
   */
  send(request: S3Request, options: { readonly maxBytes?: number } = {}): Promise<S3Answer> {
    const { maxBytes = maxSmallBytes } = options;
    return this.#ask(request, async ({ status, header, body }) => ({
      is: "success",
      status,
      header,
      bytes: await collect(body, maxBytes, request.what),
    }));
  }

  /** As `send`, for what is too large to be held: resolves when the answer begins. */
  open(request: S3Request): Promise<S3Stream> {
    return this.#ask(request, async (answer) => ({ is: "success", ...answer }));
  }

  async #ask<T extends Success>(
    request: S3Request,
    receive: (answer: HttpAnswer) => Promise<T>,
  ): Promise<T | NotThere> {
    let renewed = false;
    for (let attempt = 1; ; attempt++) {
      const heard: T | Unsuccessful = await this.#once(request, { renew: renewed, receive });
      if (!isUnsuccessful(heard)) return heard;
      const { meaning, error }: Unsuccessful = heard;
      if (meaning === "absent" || meaning === "condition") return { is: meaning };
      // Never a second attempt: a condition that doesn't hold then may be the first one's doing.
      if (meaning === "unknown" && request.repeat === "not done") throw unknown(error);
      if (meaning === "final" || attempt >= this.#options.attempts) throw error;
      if (meaning === "credentials" && renewed) throw error;
      renewed = meaning === "credentials";
      if (meaning !== "credentials" && meaning !== "clock") await this.#pause(attempt);
    }
  }

  close(): void {
    this.#transport.close();
  }

  async #once<T extends Success>(
    request: S3Request,
    { renew, receive }: { readonly renew: boolean; receive(answer: HttpAnswer): Promise<T> },
  ): Promise<T | Unsuccessful> {
    const { what } = request;
    const credentials = await this.#credentials({ renew });
    const sentAt = { ours: this.machine.clock.now(), aheadMs: this.#aheadMs };
    try {
      const answer = await this.#dispatch(request, { credentials, now: sentAt.ours + sentAt.aheadMs });
      if (answer.status >= 200 && answer.status < 300) return await receive(answer);
      const refusal = readRefusal(answer, await collect(answer.body, maxErrorBytes, what));
      const meaning = await this.#meaning(request, refusal);
      const isHelpless = meaning === "clock" && !this.#setClock(refusal, sentAt);
      return { meaning: isHelpless ? "final" : meaning, error: refusalError(refusal, this.place, what) };
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      return { meaning: error.mayHaveHappened ? "unknown" : "never left", error: unheard(error, this.place, what) };
    }
  }

  #dispatch(
    request: S3Request,
    { credentials, now }: { readonly credentials: Awaited<ReturnType<CredentialSource>>; readonly now: number },
  ): Promise<HttpAnswer> {
    const { method, key, query = {}, body } = request;
    this.#count(request);
    const path = key === undefined ? this.place.root : this.place.root + encodePath(key);
    const isBytes = body === undefined || body instanceof Uint8Array;
    const size = isBytes ? (body?.length ?? 0) : body.size;
    const bodyHash = isBytes ? sha256(body ?? "") : body.sha256;
    const headers = sign(
      { method, host: this.place.host, path, query, headers: request.headers ?? {}, bodyHash },
      credentials,
      { region: this.place.region, now },
    );
    const search = queryString(query);
    return this.#transport.send(
      {
        method,
        path: search === "" ? path : `${path}?${search}`,
        headers: { ...headers, ...(method === "GET" || method === "HEAD" ? {} : { "content-length": size }) },
        body: isBytes ? body : body.open,
      },
      request.limits ?? this.#options.limits,
    );
  }

  #count({ method, key }: S3Request): void {
    const kind = method === "GET" ? (key === undefined ? "list" : "get") : method.toLowerCase();
    if (Object.hasOwn(this.sent, kind)) this.sent[kind as keyof typeof this.sent]++; // checked just before
  }

  /**
   * HEAD answers without a word. Only a read tells whether it is the object or the bucket that isn't there, or who says so; whether we may not look, or
   * credentials have expired, or a clock is wrong. What a read does about that is done then.
   */
  async #meaning(request: S3Request, refusal: Refusal): Promise<Meaning> {
    if (request.method !== "HEAD" || ![400, 403, 404].includes(refusal.status)) return meaningOf(refusal);
    const read = await this.send({ ...request, method: "GET", headers: { range: "bytes=0-0" } }).catch(
      (error: unknown) => {
        // An empty object has no first byte.
        if (error instanceof FenError && error.facts["storeStatus"] === 416) return { is: "success" } as const;
        throw error;
      },
    );
    return read.is === "success" ? "unknown" : "absent";
  }

  /** From the answer's own date. False where that doesn't help: the request was signed by about that time. */
  #setClock(refusal: Refusal, sentAt: { readonly ours: number; readonly aheadMs: number }): boolean {
    const theirs = Date.parse(refusal.header("date") ?? "");
    if (Number.isNaN(theirs) || Math.abs(theirs - sentAt.ours - sentAt.aheadMs) < nearMs) return false;
    this.#aheadMs = theirs - sentAt.ours;
    return true;
  }

  async #pause(attempt: number): Promise<void> {
    const { clock, random } = this.machine;
    const chance = (random.bytes(1)[0] ?? 0) / 255;
    await clock.sleep(Math.min(firstPauseMs * 2 ** (attempt - 1), longestPauseMs) * (0.5 + chance));
  }
}

interface Unsuccessful {
  readonly meaning: Meaning | "never left";
  readonly error: FenError;
}

function isUnsuccessful(heard: Success | Unsuccessful): heard is Unsuccessful {
  return "error" in heard;
}

/** No answer, in words for people. */
export function unheard(error: NoAnswer, place: S3Place, what: string): FenError {
  return new FenError("store_unavailable", `No answer from ${place.host} (${what}): ${error.message}`, {
    remedy: "Check the network and the endpoint",
    facts: { location: place.location, what },
    cause: error.cause,
  });
}

/** True where nobody knows whether it was done. */
export function isUnknown(error: unknown): boolean {
  return error instanceof FenError && error.facts["unknown"] === true;
}

function unknown(error: FenError): FenError {
  return error.retold({ facts: { unknown: true }, cause: error.cause });
}

async function collect(body: AsyncIterable<Uint8Array>, maxBytes: number, what: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > maxBytes)
      throw new FenError("file_too_large", `The store gave more than ${maxBytes} bytes (${what}).`, {
        hint: "Is it the right object? Large content belongs into data, not here.",
        facts: { maxBytes, what },
      });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
