/** A machine of its own for the built program: a clone of the repository, a home, a cache and (where that is permitted) a host name, on a datastore in S3. */
import { spawnSync } from "node:child_process";
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { program, type Result, type Running, runFen, type Scratch, scratchRepo, startFen } from "./cli.ts";
import type { S3Server } from "./s3-server.ts";

export interface S3Machine {
  readonly path: string;
  fen(...args: string[]): Promise<Result>;
  start(...args: string[]): Running;
}

export interface MachineOptions {
  readonly network?: OwnNetwork | undefined;
  /** Path of another build of the program. */
  readonly as?: string | undefined;
}

export interface S3World {
  /** Where the models are written. */
  readonly repo: Scratch;
  /** A clone of what the repository has now. */
  machine(server: S3Server, env?: Readonly<Record<string, string>>, more?: MachineOptions): S3Machine;
  remove(): void;
}

export interface OwnNetwork {
  /** What its commands begin with. */
  readonly enter: readonly string[];
  /** The server is reached by plain http, and isn't on loopback. */
  readonly allowHttp: boolean;
}

export async function s3World(prefix: string): Promise<S3World> {
  const repo = await scratchRepo();
  const root = mkdtempSync(join(tmpdir(), "fen-s3-"));
  let machines = 0;
  const mayBeNamed = spawnSync("unshare", ["--uts", "hostname", "another"]).status === 0;
  return {
    repo,
    machine: (server, more = {}, { network, as = program } = {}) => {
      const own = join(root, String(++machines));
      const path = join(own, "repo");
      mkdirSync(own);
      cpSync(repo.path, path, { recursive: true });
      rmSync(join(path, ".swamp"), { recursive: true, force: true });
      const { enter = [], allowHttp = false } = network ?? {};
      if (allowHttp) nameInMarker(path, { bucket: "conformance", prefix, endpoint: server.endpoint, allowHttp });
      const env = {
        HOME: join(own, "home"),
        XDG_CACHE_HOME: "",
        SWAMP_DATASTORE: allowHttp ? "" : `s3:conformance/${prefix}`,
        AWS_ENDPOINT_URL_S3: server.endpoint,
        AWS_ACCESS_KEY_ID: server.accessKeyId,
        AWS_SECRET_ACCESS_KEY: server.secretAccessKey,
        AWS_REGION: server.region,
        ...more,
      };
      const start = [process.execPath, as];
      const named = mayBeNamed ? [...withHostName(`machine-${machines}`), ...start] : start;
      const options = { cwd: path, env, as: [...enter, ...named] };
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

/** What the environment can't say. */
function nameInMarker(repo: string, place: Readonly<Record<string, unknown>>): void {
  appendFileSync(join(repo, ".swamp.yaml"), `datastore: ${JSON.stringify({ type: "s3", ...place })}\n`);
}

/** Runs what follows in a world where the host is called so; its process id stays that of the child. */
function withHostName(name: string): string[] {
  return ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name];
}
