/** A datastore in S3, put together: locks, versions and files over one place. Loaded only by commands that use one. */
import { homedir } from "node:os";
import { join } from "node:path";
import { ContentCache } from "../data/objects/content-cache.ts";
import { CasHeads } from "../data/objects/heads.ts";
import { ObjectSync } from "../data/objects/sync.ts";
import { ObjectVersions } from "../data/objects/object-versions.ts";
import { FenError } from "../kernel/errors.ts";
import { sha256Hex } from "../kernel/hash.ts";
import type { Machine } from "../kernel/machine.ts";
import { CasLocks } from "../lock/cas/locks.ts";
import type { Datastore, LocalFiles } from "../store/contract.ts";
import { openFilesystemDatastore } from "../store/drivers/filesystem/datastore.ts";
import { type ClientOptions, S3Client } from "../store/drivers/s3/client.ts";
import { S3ConditionalStore } from "../store/drivers/s3/conditional.ts";
import { credentialSource } from "../store/drivers/s3/credentials.ts";
import { keyStart } from "../store/drivers/s3/keys.ts";
import { S3Objects } from "../store/drivers/s3/objects.ts";
import { placeOf, type S3Place, type S3Settings } from "../store/drivers/s3/place.ts";
import {
  capabilitiesOf,
  keepVerdict,
  parseVerdict,
  type S3Capabilities,
  tryStore,
  verdictText,
} from "../store/drivers/s3/trial.ts";
import { ObjectFiles } from "../store/object-files.ts";
import { ObjectJournals } from "../store/object-journals.ts";
import type { OpenedDatastore } from "./workspace.ts";

const usualTtlMs = 10_000;
/** Stores tell the age of an object to a second. */
const leastQuietMs = 3000;
/** Small and urgent: a renewal must get through, or be known not to have, well before others may take over. */
const forLocks = (ttlMs: number): ClientOptions => ({
  connections: 16,
  limits: { wholeMs: ttlMs * 0.4, quietMs: ttlMs * 0.25 },
  attempts: 3,
});
const forContent: ClientOptions = { connections: 8, limits: { wholeMs: 30_000, quietMs: 20_000 }, attempts: 5 };

/** Of older programs: a line for each file. */
const maxIndexBytes = 512 * 1024 * 1024;
const verdictPath = ".fen/trial.json";

/** Shorter than a bucket's answers take now and then, every holder would lose its locks; longer, nobody would see the end of a dead one's. */
const [leastTtlMs, mostTtlMs] = [1000, 600_000];

/** Milliseconds. Throws `usage` for what is no number within the bounds. */
export function lockTtlMs(env: Readonly<Record<string, string | undefined>>): number {
  const given = env["FEN_LOCK_TTL_MS"] ?? "";
  if (given === "") return usualTtlMs;
  const ttlMs = /^\d+$/.test(given) ? Number(given) : 0;
  if (ttlMs >= leastTtlMs && ttlMs <= mostTtlMs) return ttlMs;
  throw new FenError(
    "usage",
    `FEN_LOCK_TTL_MS must be a number of milliseconds from ${leastTtlMs} to ${mostTtlMs}, not: ${given}`,
    {
      hint: `For example: FEN_LOCK_TTL_MS=${usualTtlMs}, which is what counts without it. All who share the bucket need the same.`,
    },
  );
}

/** `runtimeDir`: where this machine keeps what isn't in the bucket yet. `onLeftover`: told why a claim stays there whose lock was given back. Throws what `placeOf` and `capabilitiesOf` throw. */
export async function openS3Datastore(
  settings: S3Settings,
  machine: Machine,
  { runtimeDir, onLeftover }: { readonly runtimeDir: string; readonly onLeftover?: (why: Error) => void },
): Promise<OpenedDatastore> {
  const place = await placeOf(settings, machine);
  const credentials = credentialSource(machine);
  const client = (options: ClientOptions) => new S3Client(place, machine, options, credentials);
  const ttlMs = lockTtlMs(machine.host.env);
  const urgent = client(forLocks(ttlMs));
  const { local } = openFilesystemDatastore(join(runtimeDir, ".fen/s3", hashOf(place)), machine);
  let known: Promise<S3Capabilities> | undefined;
  // Whoever only looks at definitions asks the bucket nothing; whoever writes knows first that it can be.
  const etagForm = async () => {
    known ??= knownCapabilities(local, urgent, () => client(forLocks(usualTtlMs)));
    try {
      return (await known).etagForm;
    } catch (error) {
      known = undefined;
      throw error;
    }
  };
  const conditional = new S3ConditionalStore(urgent, { folder: ".fen", etagForm });
  const objects = new S3Objects(client(forContent));
  const datastore: Datastore = {
    kind: "s3",
    location: place.location,
    files: new ObjectFiles(objects, local),
    local,
    journals: new ObjectJournals({ objects, local, machine, quietMs: Math.max(ttlMs, leastQuietMs) }),
    lookEveryMs: 1000,
    suits: etagForm,
    locks: new CasLocks(conditional, machine, { ttlMs, onLeftover }),
  };
  const cache = new ContentCache(join(cacheFolder(machine), "fen", hashOf(place)));
  const heads = new CasHeads(conditional, machine);
  const versions = new ObjectVersions({ machine, local, objects, heads, cache });
  const root = new S3ConditionalStore(client(forContent), { etagForm, maxBytes: maxIndexBytes });
  const parts = { machine, objects, heads, cache, versions, conditional: root, turns: conditional };
  const sync = new ObjectSync({ ...parts, keyPrefix: keyStart(place.prefix) });
  return { datastore, versions, sync };
}

/** Tries a place anew, whatever was found before. Throws what `placeOf` and `tryStore` throw. */
export async function tryS3(
  settings: S3Settings,
  machine: Machine,
): Promise<{ readonly location: string; readonly capabilities: S3Capabilities }> {
  const place = await placeOf(settings, machine);
  const credentials = credentialSource(machine);
  const [one, two] = [1, 2].map(() => new S3Client(place, machine, forContent, credentials));
  if (one === undefined || two === undefined) throw new Error("two clients are needed");
  const capabilities = await tryStore(one, two);
  await keepVerdict(one, capabilities);
  return { location: place.location, capabilities };
}

/** Asked of the bucket once by each machine. */
async function knownCapabilities(local: LocalFiles, one: S3Client, openTwo: () => S3Client): Promise<S3Capabilities> {
  const kept = await local.read(verdictPath, { maxBytes: 10_000 });
  const known = kept === undefined ? undefined : parseVerdict(new TextDecoder().decode(kept));
  if (known !== undefined) return known;
  const capabilities = await capabilitiesOf(one, openTwo);
  await local.write(verdictPath, verdictText(capabilities), { durable: false });
  return capabilities;
}

function hashOf({ host, root, prefix }: S3Place): string {
  return sha256Hex(JSON.stringify([host, root, prefix])).slice(0, 16);
}

function cacheFolder({ host: { env } }: Machine): string {
  const named = env["XDG_CACHE_HOME"];
  return named === undefined || named === "" ? join(env["HOME"] ?? homedir(), ".cache") : named;
}
