/** What goes wrong between a client and its S3 server: a proxy that loses, breaks, delays and invents answers, as a test (or a seed) decides. */
import { Agent, createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Chance } from "./chance.ts";
import type { S3Server } from "./s3-server.ts";

/**
 * `lost request`: never gets there, the connection breaks. `lost answer`: done, then the connection breaks. `cut answer`: breaks in the middle of the body.
 * `hang`: never gets there, nothing comes. `hang after`: done, nothing comes. `slow answer`: done, the body comes in drops.
 * `expired`: what credentials that have run out are told. A number: that status, without the request being done; `done N`: done, and then that status.
 */
export type Fault =
  | "lost request"
  | "lost answer"
  | "cut answer"
  | "hang"
  | "hang after"
  | "slow answer"
  | 409
  | 500
  | 503
  | "done 500"
  | "not S3"
  | "expired";

export interface Passing {
  readonly method: string;
  readonly path: string;
  /** The first is 0. */
  readonly number: number;
}

export interface ProxyOptions {
  /** There and back, each way half of it. */
  latencyMs?: number;
  fault?: (passing: Passing) => Fault | undefined;
  /** The server's clock, as its answers tell it, is so far ahead. */
  aheadMs?: number;
}

export interface S3Proxy extends S3Server {
  options: ProxyOptions;
  readonly passed: Passing[];
  close(): Promise<void>;
}

/** A fault for a share of all requests. */
export function byChance(chance: Chance, share: number, faults: readonly Fault[]): NonNullable<ProxyOptions["fault"]> {
  return () => (chance.is(share) ? chance.pick(faults) : undefined);
}

/** The same fault for the first `count` requests that `which` is about. */
export function first(
  count: number,
  fault: Fault,
  which: (passing: Passing) => boolean = () => true,
): NonNullable<ProxyOptions["fault"]> {
  let left = count;
  return (passing) => (which(passing) && left-- > 0 ? fault : undefined);
}

/** On loopback, if not said otherwise. */
export async function startProxy(
  target: S3Server,
  options: ProxyOptions = {},
  { host = "127.0.0.1" }: { readonly host?: string } = {},
): Promise<S3Proxy> {
  const agent = new Agent({ keepAlive: true });
  const server = createServer((request, response) => {
    const passing = { method: request.method ?? "", path: request.url ?? "", number: proxy.passed.length };
    proxy.passed.push(passing);
    void pass({ target, agent, request, response, options: proxy.options, fault: proxy.options.fault?.(passing) });
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const address = server.address();
  const proxy: S3Proxy = {
    ...target,
    endpoint: `http://${host}:${typeof address === "object" ? address?.port : ""}`,
    options,
    passed: [],
    close: async () => {
      agent.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}

interface Pass {
  readonly target: S3Server;
  readonly agent: Agent;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly options: ProxyOptions;
  readonly fault: Fault | undefined;
}

const codes: Readonly<Record<number, string>> = {
  409: "ConditionalRequestConflict",
  500: "InternalError",
  503: "SlowDown",
};

async function pass({ target, agent, request, response, options, fault }: Pass): Promise<void> {
  const half = (options.latencyMs ?? 0) / 2;
  const breakOff = () => request.socket.destroy();
  try {
    const body = await bodyOf(request);
    if (half > 0) await sleep(half);
    if (fault === "lost request") return void breakOff();
    if (fault === "hang") return;
    if (fault === "expired") return void invent(response, 400, errorBody("ExpiredToken"));
    if (fault === "not S3") return void invent(response, 404, "<html><body>Not found</body></html>");
    if (typeof fault === "number") return void invent(response, fault, errorBody(codes[fault] ?? ""));
    const answer = await forward({ target, agent, request }, body);
    if (half > 0) await sleep(half);
    if (fault === "lost answer") return void breakOff();
    if (fault === "hang after") return;
    if (fault === "done 500") return void invent(response, 500, errorBody("InternalError"));
    if (options.aheadMs !== undefined) answer.headers.date = new Date(Date.now() + options.aheadMs).toUTCString();
    response.writeHead(answer.status, answer.headers);
    if (fault === "cut answer") return void response.write(answer.body.subarray(0, answer.body.length / 2), breakOff);
    if (fault === "slow answer") return await drip(response, answer.body);
    response.end(answer.body);
  } catch {
    breakOff(); // either side went away
  }
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function invent(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { "content-length": String(body.length) }).end(body);
}

function errorBody(code: string): string {
  return `<?xml version="1.0"?><Error><Code>${code}</Code><Message>invented</Message></Error>`;
}

/** A byte at a time: it goes on, but leads nowhere. */
async function drip(response: ServerResponse, body: Buffer): Promise<void> {
  response.flushHeaders();
  for (const byte of body) {
    if (response.destroyed) return;
    response.write(Buffer.of(byte));
    await sleep(40);
  }
  response.end();
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

function forward(
  { target, agent, request }: Pick<Pass, "target" | "agent" | "request">,
  body: Buffer,
): Promise<Answer> {
  const { hostname, port } = new URL(target.endpoint);
  const { method, url: path, headers } = request;
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ hostname, port, method, path, headers, agent }, (answer) => {
      bodyOf(answer).then(
        (whole) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: whole }),
        reject,
      );
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
