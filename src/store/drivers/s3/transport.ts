/**
 * One request and its answer over HTTP, bounded in time. Knows nothing of S3. Either there is an answer, whatever its status, or `NoAnswer` says
 * whether the request can have reached the other side.
 */
import { readFileSync } from "node:fs";
import { Agent as HttpAgent, type ClientRequest, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Readable } from "node:stream";
import { asError, storeError } from "../../../kernel/errors.ts";
import type { Machine } from "../../../kernel/machine.ts";
import type { S3Place } from "./place.ts";

/** No answer, or none that could be read to its end. */
export class NoAnswer extends Error {
  /** False where the request can't have had an effect: it never left. */
  readonly mayHaveHappened: boolean;

  constructor(cause: unknown, mayHaveHappened: boolean) {
    super(asError(cause).message, { cause });
    this.mayHaveHappened = mayHaveHappened;
  }
}

export interface Limits {
  /** From beginning to end. */
  readonly wholeMs: number;
  /** For so long nothing may move, in either direction. */
  readonly quietMs: number;
}

export interface HttpRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body?: Uint8Array | (() => Readable) | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  header(name: string): string | undefined;
  /** The body, piece by piece; `NoAnswer` where it breaks off. Must be read to the end or left early, in either case once. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** Connections that fall idle are given up before a server or a balancer would. */
const idleConnectionMs = 15_000;

export class Transport {
  readonly #place: S3Place;
  readonly #machine: Machine;
  readonly #agent: HttpAgent | HttpsAgent;

  /** `connections`: so many requests at once; others wait for their turn, and their time runs. */
  constructor(place: S3Place, machine: Machine, options: { readonly connections: number }) {
    this.#place = place;
    this.#machine = machine;
    const settings = {
      keepAlive: true,
      maxSockets: options.connections,
      timeout: idleConnectionMs,
      scheduling: "lifo",
    } as const;
    this.#agent = place.secure ? new HttpsAgent({ ...settings, ...authority(machine) }) : new HttpAgent(settings);
  }

  /** Resolves when the answer begins. */
  async send(request: HttpRequest, limits: Limits): Promise<HttpAnswer> {
    const { hostname, port, secure } = this.#place;
    const start = secure ? httpsRequest : httpRequest;
    const { method, path, headers } = request;
    const sent = start({ hostname, port, method, path, headers, agent: this.#agent });
    const watch = this.#watch(sent, limits);
    try {
      const answer = await answerTo(sent, request.body);
      return {
        status: answer.statusCode ?? 0,
        header: (name) => {
          const value = answer.headers[name];
          return Array.isArray(value) ? value[0] : value;
        },
        body: bodyOf(answer, watch),
      };
    } catch (error) {
      watch.end();
      throw new NoAnswer(watch.reason ?? error, watch.left);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #watch(request: ClientRequest, limits: Limits): Watch {
    const watch: Watch = { left: false, reason: undefined, end: () => timer[Symbol.dispose]() };
    const giveUp = (why: string) => {
      watch.reason = new Error(why);
      request.destroy(watch.reason);
    };
    const timer = this.#machine.clock.after(limits.wholeMs, () => giveUp(`no answer within ${limits.wholeMs} ms`));
    request.setTimeout(limits.quietMs, () => giveUp(`nothing came for ${limits.quietMs} ms`));
    request.once("socket", (socket) => {
      const leave = () => (watch.left = true);
      if (socket.connecting) socket.once(this.#place.secure ? "secureConnect" : "connect", leave);
      else leave();
    });
    return watch;
  }
}

interface Watch {
  /** It had a connection: it may have got there. */
  left: boolean;
  /** Why we gave up. */
  reason: Error | undefined;
  end(): void;
}

function answerTo(request: ClientRequest, body: HttpRequest["body"]): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once("response", resolve);
    // Stays: what goes wrong with the connection after the answer began is told by the answer's body.
    request.on("error", reject);
    if (typeof body !== "function") {
      request.end(body);
      return;
    }
    const source = body();
    source.once("error", (error) => request.destroy(error));
    request.once("close", () => source.destroy());
    source.pipe(request);
  });
}

async function* bodyOf(answer: IncomingMessage, watch: Watch): AsyncIterable<Uint8Array> {
  try {
    for await (const chunk of answer) yield chunk;
  } catch (error) {
    throw new NoAnswer(watch.reason ?? error, true);
  } finally {
    watch.end();
  }
}

/** A private certificate authority, named as other AWS tools have it. */
function authority({ host: { env } }: Machine): { ca?: Buffer } {
  const path = env["AWS_CA_BUNDLE"];
  if (path === undefined || path === "") return {};
  try {
    return { ca: readFileSync(path) };
  } catch (error) {
    throw storeError(error, "the certificates of AWS_CA_BUNDLE", path);
  }
}
