/**
 * What a store can do, found by trying it: two clients race, change what they know and what they don't, delete, list. A store whose conditional writes
 * don't work is refused, since a lock in it would be none. Run at setup; the verdict is kept in the datastore (`.fen/trial.json`).
 */
import { FenError } from "../../../kernel/errors.ts";
import type { Machine } from "../../../kernel/machine.ts";
import { bareEtag, readExpiration } from "./answers.ts";
import type { S3Answer, S3Client } from "./client.ts";
import { type EtagForm, conditionHeaders } from "./conditional.ts";
import { keyOf } from "./keys.ts";
import { listAll } from "./lists.ts";
import type { PutCondition } from "../../conditional.ts";

export interface S3Capabilities {
  readonly etagForm: EtagForm;
  /** `If-Match` on DELETE: where it is ignored, nothing may be deleted on condition. */
  readonly conditionalDelete: "works" | "ignored" | "refused";
  /** The bucket keeps what is overwritten and deleted: it grows until a lifecycle rule removes old versions. */
  readonly versioned: boolean;
  /** The name of a lifecycle rule that removes objects of ours, where there is one. */
  readonly expiredBy?: string;
}

const verdictPath = ".fen/trial.json";
const verdictVersion = 1;

/** The verdict that is kept in the datastore; where there is none (or one of another version), tries the store and keeps it. Throws as `tryStore`. */
export async function capabilitiesOf(one: S3Client, openTwo: () => S3Client): Promise<S3Capabilities> {
  const key = keyOf(one.place.prefix, verdictPath);
  const kept = await one.send({ method: "GET", key, what: "read what the store can do", repeat: "always" });
  const known = kept.is === "success" ? parseVerdict(new TextDecoder().decode(kept.bytes)) : undefined;
  if (known !== undefined) return known;
  const two = openTwo();
  try {
    const capabilities = await tryStore(one, two);
    await keepVerdict(one, capabilities);
    return capabilities;
  } finally {
    two.close();
  }
}

/** For all who use the datastore. */
export async function keepVerdict(client: S3Client, capabilities: S3Capabilities): Promise<void> {
  const key = keyOf(client.place.prefix, verdictPath);
  const body = new TextEncoder().encode(verdictText(capabilities));
  await client.send({ method: "PUT", key, body, what: "keep what the store can do", repeat: "always" });
}

export function verdictText(capabilities: S3Capabilities): string {
  return JSON.stringify({ version: verdictVersion, ...capabilities });
}

/** Undefined for anything but a verdict of this version. */
export function parseVerdict(text: string): S3Capabilities | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // tried again, and overwritten
  }
  if (!isRecord(value) || value["version"] !== verdictVersion) return undefined;
  const { etagForm, conditionalDelete, versioned, expiredBy } = value;
  if (etagForm !== "quoted" && etagForm !== "bare") return undefined;
  return {
    etagForm,
    conditionalDelete: conditionalDelete === "works" || conditionalDelete === "refused" ? conditionalDelete : "ignored",
    versioned: versioned === true,
    ...(typeof expiredBy === "string" ? { expiredBy } : {}),
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface Trial {
  readonly clients: readonly [S3Client, S3Client];
  readonly prefix: string;
  readonly machine: Machine;
}

const rounds = 6;
const racers = 10;

/** Two clients of one datastore, with connections of their own. Throws `store_unsuited` with the reason, or what keeps it from being tried. */
export async function tryStore(one: S3Client, two: S3Client): Promise<S3Capabilities> {
  const { machine, place } = one;
  const prefix = keyOf(place.prefix, `.fen/trial/${machine.random.uuid()}`);
  const trial: Trial = { clients: [one, two], prefix, machine };
  try {
    const versioned = await tryCreate(trial);
    const etagForm = await tryReplace(trial);
    await tryAbsent(trial, etagForm);
    for (let round = 0; round < rounds; round++) await race(trial, etagForm, round);
    await tryList(trial);
    const conditionalDelete = await tryDelete(trial, etagForm);
    const expiredBy = await expiration(one);
    return { etagForm, conditionalDelete, versioned, ...(expiredBy === undefined ? {} : { expiredBy }) };
  } finally {
    await cleanUp(trial).catch(() => undefined); // what the trial found is the thing to tell; what it left is under a name of its own
  }
}

function unsuited({ clients: [{ place }] }: Trial, reason: string): FenError {
  return new FenError("store_unsuited", `Locks can't be kept in ${place.location}: ${reason}`, {
    hint: "Use a store with conditional writes (AWS S3 and Ceph have them), or a datastore in a folder: fen datastore setup filesystem",
    facts: { location: place.location, reason },
  });
}

function put(
  { prefix }: Trial,
  client: S3Client,
  { name, body, headers }: { readonly name: string; readonly body: string; readonly headers: Record<string, string> },
): Promise<S3Answer> {
  return client.send({
    method: "PUT",
    key: `${prefix}/${name}`,
    headers,
    body: new TextEncoder().encode(body),
    what: "write on condition",
    repeat: "not done",
  });
}

/** In a crowd a store may turn some away, or not say what it did. */
async function unlessTurnedAway(answer: Promise<S3Answer>): Promise<S3Answer["is"] | "unknown"> {
  try {
    return (await answer).is;
  } catch (error) {
    if (error instanceof FenError && error.retryable) return "unknown";
    throw error;
  }
}

async function read(trial: Trial, client: S3Client, name: string): Promise<{ body: string; etag: string } | undefined> {
  const answer = await client.send({
    method: "GET",
    key: `${trial.prefix}/${name}`,
    what: "read what was written",
    repeat: "always",
  });
  if (answer.is !== "success") return undefined;
  return { body: new TextDecoder().decode(answer.bytes), etag: bareEtag(answer.header("etag") ?? "") };
}

/** Gives whether the bucket keeps old versions. */
async function tryCreate(trial: Trial): Promise<boolean> {
  const [one, two] = trial.clients;
  const headers = conditionHeaders({ ifAbsent: true }, "bare");
  const first = await put(trial, one, { name: "a", body: "1", headers });
  if (first.is !== "success") throw unsuited(trial, "an object can't be created on the condition that there is none");
  const second = await put(trial, two, { name: "a", body: "2", headers });
  if (second.is === "success")
    throw unsuited(trial, "it ignores the condition that there is no such object (If-None-Match)");
  if ((await read(trial, two, "a"))?.body !== "1")
    throw unsuited(trial, "one client doesn't read what another has written");
  const version = first.header("x-amz-version-id");
  return version !== undefined && version !== "null";
}

/** Which form of etag it knows; both must be refused where they are wrong. */
async function tryReplace(trial: Trial): Promise<EtagForm> {
  const [one, two] = trial.clients;
  const etag = (await read(trial, one, "a"))?.etag ?? "";
  const wrong = "0123456789abcdef0123456789abcdef";
  for (const form of ["quoted", "bare"] as const) {
    const answer = await put(trial, two, { name: "a", body: "x", headers: conditionHeaders({ ifMatch: wrong }, form) });
    if (answer.is === "success")
      throw unsuited(trial, "it ignores the condition that an object has a certain etag (If-Match)");
  }
  for (const form of ["quoted", "bare"] as const) {
    const headers = conditionHeaders({ ifMatch: etag }, form);
    if ((await put(trial, one, { name: "a", body: "3", headers })).is !== "success") continue;
    if ((await put(trial, two, { name: "a", body: "4", headers })).is === "success")
      throw unsuited(trial, "it takes an etag that an object had before (If-Match)");
    return form;
  }
  throw unsuited(trial, "an object can't be replaced on the condition of its etag (If-Match)");
}

async function tryAbsent(trial: Trial, form: EtagForm): Promise<void> {
  const headers = conditionHeaders({ ifMatch: "0123456789abcdef0123456789abcdef" }, form);
  const answer = await put(trial, trial.clients[0], { name: "none", body: "x", headers });
  if (answer.is === "success")
    throw unsuited(trial, "it makes a new object on the condition that one has a certain etag (If-Match)");
}

/** Creates in the first round, replaces in the others. */
async function race(trial: Trial, form: EtagForm, round: number): Promise<void> {
  const found = await read(trial, trial.clients[0], "race");
  const condition: PutCondition = found === undefined ? { ifAbsent: true } : { ifMatch: found.etag };
  const headers = conditionHeaders(condition, form);
  const told = await Promise.all(
    Array.from({ length: racers }, async (_, index) => {
      const body = `${round}.${index}`;
      const client = trial.clients[index % 2 === 0 ? 0 : 1];
      return { body, is: await unlessTurnedAway(put(trial, client, { name: "race", body, headers })) };
    }),
  );
  const winner = told.find(({ is }) => is === "success");
  if (told.filter(({ is }) => is === "success").length > 1)
    throw unsuited(trial, `of ${racers} that changed one object at the same time more than one was told that it had`);
  const now = (await read(trial, trial.clients[1], "race"))?.body;
  if (winner !== undefined ? now !== winner.body : told.find(({ body }) => body === now)?.is === "condition")
    throw unsuited(trial, "a change that was refused was made, or one that was made is not there");
}

async function tryList(trial: Trial): Promise<void> {
  const listed = new Map<string, string>();
  for await (const { key, etag } of listAll(trial.clients[1], `${trial.prefix}/`)) listed.set(key, etag);
  for (const name of ["a", "race"]) {
    const etag = (await read(trial, trial.clients[0], name))?.etag;
    if (etag === undefined || listed.get(`${trial.prefix}/${name}`) !== etag)
      throw unsuited(trial, "a list doesn't show what was written before it");
  }
}

async function tryDelete(trial: Trial, form: EtagForm): Promise<S3Capabilities["conditionalDelete"]> {
  const [one, two] = trial.clients;
  const headers = conditionHeaders({ ifMatch: "0123456789abcdef0123456789abcdef" }, form);
  const request = { method: "DELETE", key: `${trial.prefix}/a`, repeat: "not done" } as const;
  const outcome = await one.send({ ...request, headers, what: "delete on condition" }).catch((error: unknown) => {
    if (error instanceof FenError && error.code === "store_unsuited") return { is: "refused" } as const;
    throw error;
  });
  const isThere = (await read(trial, two, "a")) !== undefined;
  if (isThere && outcome.is === "success")
    throw unsuited(trial, "it says that an object is deleted, and it is still there");
  await one.send({ ...request, what: "delete objects", repeat: "always" });
  if ((await read(trial, two, "a")) !== undefined) throw unsuited(trial, "an object that was deleted is still there");
  for await (const { key } of listAll(two, `${trial.prefix}/a`))
    if (key === `${trial.prefix}/a`) throw unsuited(trial, "a list shows what was deleted before it");
  if (!isThere) return "ignored";
  return outcome.is === "refused" ? "refused" : "works";
}

/** Where we may not look, nothing is known: no reason to refuse. */
async function expiration(client: S3Client): Promise<string | undefined> {
  try {
    const answer = await client.send({
      method: "GET",
      query: { lifecycle: "" },
      what: "read the bucket's lifecycle",
      repeat: "always",
    });
    return answer.is === "success" ? readExpiration(answer.bytes, client.place.prefix) : undefined;
  } catch (error) {
    if (error instanceof FenError && ["store_denied", "store_refused", "store_unsuited"].includes(error.code))
      return undefined;
    throw error;
  }
}

async function cleanUp({ clients: [client], prefix }: Trial): Promise<void> {
  for (const name of ["a", "none", "race"])
    await client.send({
      method: "DELETE",
      key: `${prefix}/${name}`,
      what: "clean up after the trial",
      repeat: "always",
    });
}
