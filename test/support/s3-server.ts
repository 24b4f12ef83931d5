/** A real S3 server for all tests of a project (scripts/ceph.mjs): started before them, ended after them, and with them if they are killed. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";

export interface S3Server {
  /** Plain http on loopback. */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

declare module "vitest" {
  interface ProvidedContext {
    s3: S3Server;
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const script = fileURLToPath(new URL("../../scripts/ceph.mjs", import.meta.url));
  const child = spawn(process.execPath, [script], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const said = await Promise.race([
    new Promise<string>((resolve) => createInterface(child.stdout).once("line", resolve)),
    ended.then(() => undefined),
  ]);
  if (said === undefined) throw new Error("scripts/ceph.mjs ended before the server was there");
  const { endpoint, region, accessKeyId, secretAccessKey }: S3Server = JSON.parse(said);
  project.provide("s3", { endpoint, region, accessKeyId, secretAccessKey });
  return () => {
    child.stdin.end();
    return ended;
  };
}
