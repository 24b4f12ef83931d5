/** Where a datastore in S3 is, and how it is spoken to: made from settings and the environment in one place, so that locks and data can't part. */
import { isIP } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { FenError } from "../../../kernel/errors.ts";
import { readTextFile } from "../../../kernel/files.ts";
import type { Machine } from "../../../kernel/machine.ts";
import { isSafePath } from "./keys.ts";
import { encode } from "./sign.ts";

export interface S3Settings {
  readonly bucket: string;
  readonly prefix?: string | undefined;
  readonly region?: string | undefined;
  /** A URL, or host and port (then with TLS). */
  readonly endpoint?: string | undefined;
  readonly forcePathStyle?: boolean | undefined;
  /** Plain http to a host other than this one. */
  readonly allowHttp?: boolean | undefined;
}

export interface S3Place {
  readonly bucket: string;
  /** Without slashes at its ends; empty for the whole bucket. */
  readonly prefix: string;
  readonly region: string;
  readonly secure: boolean;
  readonly hostname: string;
  readonly port: number;
  /** As the signature and the request name it. */
  readonly host: string;
  /** Before a key: `/` or `/bucket/`. */
  readonly root: string;
  /** For people. */
  readonly location: string;
}

const maxConfigBytes = 1024 * 1024;
const schemes: Readonly<Record<string, number>> = { "https:": 443, "http:": 80 };

/** Throws `datastore_invalid`. */
export async function placeOf(settings: S3Settings, machine: Machine): Promise<S3Place> {
  const { env } = machine.host;
  const { bucket } = settings;
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) || bucket.includes(".."))
    throw invalid(`${JSON.stringify(bucket)} can't be the name of a bucket.`, "3 to 63 of a-z, 0-9, - and .");
  const prefix = (settings.prefix ?? "").replaceAll(/^\/+|\/+$/g, "");
  if (prefix !== "" && !isSafePath(prefix))
    throw invalid(`${JSON.stringify(prefix)} can't be a prefix.`, "Write names with / between them.");
  const region =
    settings.region ?? named(env["AWS_REGION"]) ?? named(env["AWS_DEFAULT_REGION"]) ?? (await profileRegion(machine));
  const given = settings.endpoint ?? named(env["AWS_ENDPOINT_URL_S3"]) ?? named(env["AWS_ENDPOINT_URL"]);
  const signed = region ?? "us-east-1";
  const url = endpointUrl(given ?? `s3.${signed}.amazonaws.com${signed.startsWith("cn-") ? ".cn" : ""}`);
  const secure = url.protocol === "https:";
  const { hostname } = url;
  if (!secure && !isLoopback(hostname) && settings.allowHttp !== true)
    throw invalid(
      `The endpoint ${url.origin} isn't encrypted.`,
      "Use https, or say that plain http is wanted: allowHttp: true",
    );
  const pathStyle =
    settings.forcePathStyle ?? (given !== undefined || isIP(hostname) !== 0 || (secure && bucket.includes(".")));
  const name = pathStyle ? hostname : `${bucket}.${hostname}`;
  return {
    bucket,
    prefix,
    region: signed,
    secure,
    hostname: name.replaceAll(/^\[|\]$/g, ""),
    port: url.port === "" ? (schemes[url.protocol] ?? 443) : Number(url.port),
    host: url.port === "" ? name : `${name}:${url.port}`,
    root: `${url.pathname.replace(/\/+$/, "")}/${pathStyle ? `${encode(bucket)}/` : ""}`,
    location: `s3://${bucket}${prefix === "" ? "" : `/${prefix}`}${given === undefined ? "" : ` at ${url.host}`}`,
  };
}

function endpointUrl(text: string): URL {
  const address = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`;
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || schemes[url.protocol] === undefined || url.username !== "" || url.search !== "")
    throw invalid(
      `The endpoint can't be understood: ${text.replace(/\/\/[^@/]*@/, "//")}`,
      "For example: https://s3.example.net:9000",
    );
  return url;
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || (isIP(hostname) === 4 && hostname.startsWith("127."));
}

function named(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function invalid(message: string, hint: string): FenError {
  return new FenError("datastore_invalid", message, { hint });
}

/** The region that the chosen profile names in the file that the AWS tools share. */
async function profileRegion({ host: { env } }: Machine): Promise<string | undefined> {
  const path = named(env["AWS_CONFIG_FILE"]) ?? join(named(env["HOME"]) ?? homedir(), ".aws/config");
  const text = await readTextFile(path, maxConfigBytes).catch(() => undefined); // whoever needs what is in it says so
  const profile = named(env["AWS_PROFILE"]) ?? "default";
  let current = "";
  for (const line of (text ?? "").split("\n")) {
    const section = /^\s*\[\s*(?:profile\s+)?["']?(.*?)["']?\s*\]/.exec(line);
    if (section !== null) current = section[1] ?? "";
    const region = /^region\s*=\s*([^\s#;]+)/.exec(line)?.[1];
    if (region !== undefined && current === profile) return region;
  }
  return undefined;
}
