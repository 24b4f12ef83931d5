/**
 * Fills a bucket with what the older program leaves: two small objects for each version, ten versions of a model. One lean process: connections that stay
 * open, one request on each at a time, and no more of HTTP than that takes.
 */
import { freemem } from "node:os";
import { createConnection, type Socket } from "node:net";
import { sha256, sign } from "../src/store/drivers/s3/sign.ts";
import type { S3Server } from "../test/support/s3-server.ts";

export interface FillOptions {
  /** How many objects there are to be. */
  readonly count: number;
  /** Where a fill that was stopped goes on. */
  readonly from?: number;
  /** Asked a few times a second; it stops where it is true. */
  readonly enough?: (made: number) => boolean;
}

const connections = 48;
/** It stops before the server eats up the machine. */
const leaveBytes = 6 * 2 ** 30;
const content = "hello";

export const idOf = (number: number): string => `${String(number).padStart(8, "0")}-0000-4000-a000-ffffffffffff`;

/** How many objects are there in the end: `count`, or what could be had. */
export async function fill(server: S3Server, prefix: string, options: FillOptions): Promise<number> {
  const { count, from = 0, enough = () => false } = options;
  let next = from;
  let stopped = false;
  const watch = setInterval(() => (stopped ||= enough(next) || freemem() < leaveBytes), 300);
  const work = async (): Promise<void> => {
    const connection = new Connection(server);
    // Both objects of a version go by the same connection, so a fill that stops leaves no half of one.
    for (let at = next; at < count && !stopped; at = next) {
      next += 2;
      const [model, version] = [Math.floor(at / 20), (Math.floor(at / 2) % 10) + 1];
      const folder = `${prefix}/data/command/shell/${idOf(model)}/result/${version}`;
      await connection.put(`${folder}/raw`, content);
      await connection.put(`${folder}/metadata.yaml`, metadataOf(model, version));
    }
    connection.close();
  };
  try {
    await Promise.all(Array.from({ length: connections }, work));
  } finally {
    clearInterval(watch);
  }
  return Math.min(next, count);
}

function metadataOf(model: number, version: number): string {
  return `id: ${idOf(model * 100 + version)}\nname: result\nversion: ${version}\ncontentType: application/json\nlifetime: infinite\ngarbageCollection: 10\nstreaming: false\ntags: {}\nownerDefinition: {ownerType: model-method, ownerRef: x}\ncreatedAt: "2026-01-01T00:00:00.000Z"\nsize: 5\nchecksum: ${sha256(content)}\n`;
}

class Connection {
  readonly #server: S3Server;
  readonly #socket: Socket;
  #heard = "";
  #settle: { resolve(): void; reject(error: Error): void } | undefined;

  constructor(server: S3Server) {
    const { hostname, port } = new URL(server.endpoint);
    this.#server = server;
    this.#socket = createConnection({ host: hostname, port: Number(port), noDelay: true });
    this.#socket.setEncoding("latin1").on("data", (text: string) => this.#hear(text));
    this.#socket.on("error", (error) => this.#settle?.reject(error));
    this.#socket.on("close", () => this.#settle?.reject(new Error("the server closed the connection")));
  }

  put(key: string, body: string): Promise<void> {
    const { endpoint, region } = this.#server;
    const path = `/conformance/${key}`;
    const request = {
      method: "PUT",
      host: new URL(endpoint).host,
      path,
      query: {},
      headers: {},
      bodyHash: sha256(body),
    };
    const headers = Object.entries(sign(request, this.#server, { region, now: Date.now() }));
    const lines = [`PUT ${path} HTTP/1.1`, ...headers.map(([name, value]) => `${name}: ${value}`)];
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#socket.write(`${lines.join("\r\n")}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    });
  }

  close(): void {
    this.#settle = undefined;
    this.#socket.end();
  }

  /** The answer to a put has no body, unless it is a refusal. */
  #hear(text: string): void {
    this.#heard += text;
    if (!this.#heard.includes("\r\n\r\n")) return;
    const [answer, settle] = [this.#heard, this.#settle];
    this.#heard = "";
    this.#settle = undefined;
    if (answer.startsWith("HTTP/1.1 200")) settle?.resolve();
    else settle?.reject(new Error(answer));
  }
}
