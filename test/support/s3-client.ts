/** Clients of an S3 server for tests: as many machines as wanted, on one bucket. */
import { randomUUID } from "node:crypto";
import { type Machine, systemMachine } from "../../src/kernel/machine.ts";
import { type ClientOptions, S3Client } from "../../src/store/drivers/s3/client.ts";
import { placeOf, type S3Settings } from "../../src/store/drivers/s3/place.ts";
import { type S3Capabilities, tryStore } from "../../src/store/drivers/s3/trial.ts";
import type { S3Server } from "./s3-server.ts";

/** Short enough for a test of what goes wrong, long enough for a loaded machine. */
export const testOptions: ClientOptions = {
  connections: 30,
  limits: { wholeMs: 20_000, quietMs: 10_000 },
  attempts: 4,
};

/** This machine, with the environment that finds the server. */
export function machineFor(server: S3Server): Machine {
  const machine = systemMachine("s3 test");
  const env = {
    AWS_ACCESS_KEY_ID: server.accessKeyId,
    AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
    HOME: "/nonexistent",
  };
  return { ...machine, host: { ...machine.host, env } };
}

export interface ClientSettings extends Partial<S3Settings>, Partial<ClientOptions> {
  readonly machine?: Machine;
}

export async function clientOf(server: S3Server, settings: ClientSettings = {}): Promise<S3Client> {
  const { machine = machineFor(server), connections, limits, attempts, bucket = "conformance", ...place } = settings;
  const options = {
    connections: connections ?? testOptions.connections,
    limits: limits ?? testOptions.limits,
    attempts: attempts ?? testOptions.attempts,
  };
  const { endpoint, region } = server;
  return new S3Client(await placeOf({ endpoint, region, bucket, ...place }, machine), machine, options);
}

/** A bucket of that name, made if need be. */
export async function makeBucket(server: S3Server, bucket: string): Promise<void> {
  const client = await clientOf(server, { bucket });
  await client.send({ method: "PUT", what: `make the bucket ${bucket}`, repeat: "always" });
  client.close();
}

/** A prefix that no other test uses. */
export function newPrefix(): string {
  return `test/${randomUUID()}`;
}

/** What two clients find out about a store, in a place of their own. */
export async function tryOn(server: S3Server, settings: ClientSettings = {}): Promise<S3Capabilities> {
  const prefix = newPrefix();
  const [one, two] = [await clientOf(server, { prefix, ...settings }), await clientOf(server, { prefix, ...settings })];
  try {
    return await tryStore(one, two);
  } finally {
    one.close();
    two.close();
  }
}
