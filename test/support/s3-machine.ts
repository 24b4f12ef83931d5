/** A machine of its own for the built program: a clone of the repository, a home, a cache and (where that is permitted) a host name, on a datastore in S3. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { program, type Result, type Running, runFen, type Scratch, scratchRepo, startFen } from "./cli.ts";
import type { S3Server } from "./s3-server.ts";

export interface S3Machine {
  readonly path: string;
  fen(...args: string[]): Promise<Result>;
  start(...args: string[]): Running;
}

export interface S3World {
  /** Where the models are written. */
  readonly repo: Scratch;
  /** A clone of what the repository has now. `as`: with another build of the program. */
  machine(server: S3Server, env?: Readonly<Record<string, string>>, as?: string): S3Machine;
  remove(): void;
}

export async function s3World(prefix: string): Promise<S3World> {
  const repo = await scratchRepo();
  const root = mkdtempSync(join(tmpdir(), "fen-s3-"));
  let machines = 0;
  const mayBeNamed = spawnSync("unshare", ["--uts", "hostname", "another"]).status === 0;
  return {
    repo,
    machine: (server, more = {}, as = program) => {
      const own = join(root, String(++machines));
      const path = join(own, "repo");
      mkdirSync(own);
      cpSync(repo.path, path, { recursive: true });
      rmSync(join(path, ".swamp"), { recursive: true, force: true });
      const env = {
        HOME: join(own, "home"),
        XDG_CACHE_HOME: "",
        SWAMP_DATASTORE: `s3:conformance/${prefix}`,
        AWS_ENDPOINT_URL_S3: server.endpoint,
        AWS_ACCESS_KEY_ID: server.accessKeyId,
        AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
        AWS_REGION: server.region,
        ...more,
      };
      const start = [process.execPath, as];
      const options = { cwd: path, env, as: mayBeNamed ? [...withHostName(`machine-${machines}`), ...start] : start };
      return {
        path,
        fen: (...args) => runFen(args, options),
        start: (...args) => startFen(args, options),
      };
    },
    remove: () => {
      repo.remove();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** Runs what follows in a world where the host is called so; its process id stays that of the child. */
function withHostName(name: string): string[] {
  return ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name];
}
