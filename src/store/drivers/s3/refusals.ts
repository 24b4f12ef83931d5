/** What an answer that isn't a success means, in the four ways that a caller can act upon, and in words for people. */
import { FenError, type FenErrorOptions } from "../../../kernel/errors.ts";
import type { S3Place } from "./place.ts";
import { parseXml, textOf } from "./xml.ts";

export interface Refusal {
  readonly status: number;
  /** S3's own word for it, where the answer has one: it says that the store itself answered, not something between. */
  readonly code: string | undefined;
  readonly message: string | undefined;
  header(name: string): string | undefined;
}

/**
 * `absent`: there is no such object. `condition`: the condition of the request didn't hold. `not done`: it was turned away, ask again later.
 * `unknown`: it may have been done, or may be yet. `credentials`: others may help. `clock`: ours is wrong. `final`: asking again changes nothing.
 */
export type Meaning = "absent" | "condition" | "not done" | "unknown" | "credentials" | "clock" | "final";

const meanings: Readonly<Record<string, Meaning>> = {
  NoSuchKey: "absent",
  NoSuchUpload: "absent",
  PreconditionFailed: "condition",
  // Another conditional write of the same key was under way.
  ConditionalRequestConflict: "not done",
  OperationAborted: "not done",
  SlowDown: "not done",
  ServiceUnavailable: "not done",
  Throttling: "not done",
  ThrottlingException: "not done",
  TooManyRequests: "not done",
  RequestTimeout: "not done",
  InternalError: "unknown",
  ExpiredToken: "credentials",
  ExpiredTokenException: "credentials",
  TokenRefreshRequired: "credentials",
  InvalidToken: "credentials",
  RequestTimeTooSkewed: "clock",
};

export function readRefusal(
  answer: { readonly status: number; header(name: string): string | undefined },
  body: Uint8Array,
): Refusal {
  const root = parseXml(new TextDecoder().decode(body));
  const error = root?.name === "Error" ? root : undefined;
  return {
    status: answer.status,
    code: textOf(error, "Code"),
    message: textOf(error, "Message"),
    header: (name) => answer.header(name),
  };
}

export function meaningOf({ status, code }: Refusal): Meaning {
  const known = code === undefined ? undefined : meanings[code];
  if (known !== undefined) return known;
  if (status === 412) return "condition";
  if (status === 429 || status === 409) return "not done";
  return status >= 500 && status !== 501 ? "unknown" : "final";
}

type Advice = string | Pick<FenErrorOptions, "remedy" | "next">;

/** For people. `what` was asked: "read data/x". */
export function refusalError(refusal: Refusal, place: S3Place, what: string): FenError {
  const { status, code, message } = refusal;
  const said = [code ?? `status ${status}`, message === "" ? undefined : message].filter(Boolean).join(": ");
  const region = refusal.header("x-amz-bucket-region");
  const facts = { storeStatus: status, storeCode: code, what, location: place.location };
  const error = (errorCode: ConstructorParameters<typeof FenError>[0], text: string, advice: Advice) =>
    new FenError(errorCode, text, { ...(typeof advice === "string" ? { hint: advice } : advice), facts });
  if (code === "NoSuchBucket")
    return error(
      "datastore_invalid",
      `There is no bucket ${place.bucket} (${place.location}).`,
      "Make the bucket first, or correct its name, the region or the endpoint.",
    );
  if (region !== undefined && region !== place.region && [301, 307, 400].includes(status))
    return error(
      "datastore_invalid",
      `The bucket ${place.bucket} is in the region ${region}, not in ${place.region}.`,
      `Set the region of the datastore: ${region}`,
    );
  if (status === 501)
    return error(
      "store_unsuited",
      `The store can't do what a datastore needs (${what}): ${said}`,
      "Use a store with conditional writes, such as AWS S3 or Ceph.",
    );
  if (meaningOf(refusal) === "clock")
    return error(
      "store_denied",
      "This machine's clock is too far off for the store to accept its requests.",
      "Set the clock.",
    );
  if (meaningOf(refusal) === "credentials")
    return error("store_denied", `The store doesn't let us ${what}: ${said}`, {
      remedy: "The credentials have expired: get new ones (with SSO: aws sso login)",
    });
  if (status === 401 || status === 403)
    return error(
      "store_denied",
      `The store doesn't let us ${what}: ${said}`,
      "Check the credentials and what the bucket's policy permits them: reading, writing, listing and deleting objects.",
    );
  if (["not done", "unknown"].includes(meaningOf(refusal)))
    return error("store_unavailable", `The store could not ${what}: ${said}`, { next: "run the command again later." });
  return error(
    "store_refused",
    `The store refused to ${what}: ${said}`,
    "See the store's log, or its documentation of that error.",
  );
}

export function corrupt(path: string): FenError {
  return new FenError("data_corrupt", `What the store has at ${path} isn't what was written there: its hash differs.`, {
    hint: "Bring the object back from a copy or an older version of the bucket.",
    facts: { path },
  });
}
