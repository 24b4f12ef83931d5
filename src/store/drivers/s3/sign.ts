/** Signature version 4 of one request, header form. Pure: the time comes from outside. */
import { createHash, createHmac } from "node:crypto";
import { compareCodePoints } from "../../../kernel/order.ts";

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export interface Unsigned {
  readonly method: string;
  readonly host: string;
  /** Percent-encoded, beginning with `/`. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** SHA-256 of the body, hexadecimal. */
  readonly bodyHash: string;
}

const service = "s3";
export const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");
const hmac = (key: string | Uint8Array, data: string): Uint8Array => createHmac("sha256", key).update(data).digest();

/** All headers to send. `now`: wall clock of the store, milliseconds. */
export function sign(
  request: Unsigned,
  credentials: Credentials,
  { region, now }: { readonly region: string; readonly now: number },
): Record<string, string> {
  const time = new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, "");
  const day = time.slice(0, 8);
  const headers: Record<string, string> = {
    ...request.headers,
    host: request.host,
    "x-amz-date": time,
    "x-amz-content-sha256": request.bodyHash,
    ...(credentials.sessionToken === undefined ? {} : { "x-amz-security-token": credentials.sessionToken }),
  };
  const names = Object.keys(headers).sort(compareCodePoints);
  const canonical = [
    request.method,
    request.path,
    queryString(request.query),
    ...names.map((name) => `${name}:${headers[name]?.trim().replaceAll(/ +/g, " ")}`),
    "",
    names.join(";"),
    request.bodyHash,
  ].join("\n");
  const scope = `${day}/${region}/${service}/aws4_request`;
  const text = ["AWS4-HMAC-SHA256", time, scope, sha256(canonical)].join("\n");
  const key = [region, service, "aws4_request"].reduce(hmac, hmac(`AWS4${credentials.secretAccessKey}`, day));
  const signature = Buffer.from(hmac(key, text)).toString("hex");
  return {
    ...headers,
    authorization: `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`,
  };
}

/** Sorted and encoded as the signature wants it; also what is sent. */
export function queryString(query: Readonly<Record<string, string>>): string {
  return Object.entries(query)
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .sort(([a], [b]) => compareCodePoints(a, b))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
}

/** As the signature's rules have it: everything but letters, digits and `-._~`. */
export function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The path of a key: its slashes stay. */
export function encodePath(key: string): string {
  return key.split("/").map(encode).join("/");
}
