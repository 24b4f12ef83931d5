/**
 * A small S3 server in memory. As it is, it behaves as AWS documents of itself where Ceph differs: etags in quotes, 404 for a condition on what isn't there,
 * 409 for some of those who race, conditions on DELETE and on the end of a multipart upload. A test can take any of that away, or say what goes wrong.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { compareCodePoints } from "../../src/kernel/order.ts";
import { Chance } from "./chance.ts";
import { escapeXml, parseXml, textOf } from "../../src/store/drivers/s3/xml.ts";
import type { S3Server } from "./s3-server.ts";

interface StoredObject {
  readonly body: Buffer;
  readonly etag: string;
  readonly meta: Readonly<Record<string, string>>;
}

export interface DoubleOptions {
  /** `ignored`: writes whatever the condition; `refused`: answers 501, as Swift does. */
  readonly conditions?: "work" | "ignored" | "refused";
  readonly deleteConditions?: "work" | "ignored";
  /** `absent`: every If-Match fails. */
  readonly etags?: "quoted" | "bare" | "none";
  /** The share of conditional writes that meet another one and are told 409. */
  readonly conflicts?: number;
  readonly pageSize?: number;
  readonly deletes?: "allowed" | "denied";
  readonly versioned?: boolean;
  /** The XML of the bucket's lifecycle. */
  readonly lifecycle?: string;
  /** The list as it was before the last write. */
  readonly lists?: "now" | "late";
  /** With every answer. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Answers in the place of the double where it gives something. */
  readonly intercept?: (request: Seen) => Fault | undefined;
}

export interface Seen {
  readonly method: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export interface Fault {
  readonly status: number;
  readonly code?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Done all the same. */
  readonly done?: boolean;
}

export interface S3Double extends S3Server {
  readonly objects: Map<string, StoredObject>;
  readonly uploads: Map<string, Map<number, Buffer>>;
  /** Of the uploads, by id. */
  readonly begun: Map<string, { readonly key: string; readonly at: number }>;
  /** What was asked, in order. */
  readonly seen: Seen[];
  /** Conditional writes under way, by key. */
  readonly writing: Map<string, number>;
  readonly chance: Chance;
  options: DoubleOptions;
  close(): Promise<void>;
}

export async function startDouble(options: DoubleOptions = {}): Promise<S3Double> {
  const server = createServer((request, response) => void respond(double, request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const double: S3Double = {
    endpoint: `http://127.0.0.1:${portOf(server)}`,
    region: "us-east-1",
    accessKeyId: "double",
    secretAccessKey: "double",
    objects: new Map(),
    uploads: new Map(),
    begun: new Map(),
    seen: [],
    writing: new Map(),
    chance: new Chance(1),
    options,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return double;
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

const failure = (status: number, code: string): Answer => ({
  status,
  body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`,
});

async function respond(double: S3Double, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk);
  } catch {
    return; // the client went away
  }
  const url = new URL(request.url ?? "/", "http://double");
  const [, , ...path] = url.pathname.split("/");
  const key = path.map(decodeURIComponent).join("/");
  const { method = "GET", headers } = request;
  const seen: Seen = { method, key, query: url.searchParams, headers, body: Buffer.concat(chunks) };
  double.seen.push(seen);
  const fault = double.options.intercept?.(seen);
  const done = fault === undefined || fault.done === true ? await answerTo(double, seen) : undefined;
  const {
    status,
    headers: more = {},
    body = "",
  }: Answer = fault === undefined
    ? (done ?? failure(500, "InternalError"))
    : { ...failure(fault.status, fault.code ?? ""), ...fault };
  response.writeHead(status, {
    "content-length": String(Buffer.byteLength(body)),
    "x-amz-request-id": "double",
    ...double.options.headers,
    ...more,
  });
  response.end(method === "HEAD" ? undefined : body);
}

async function answerTo(double: S3Double, seen: Seen): Promise<Answer> {
  const { method, key, query, headers, body } = seen;
  if (headers["x-amz-content-sha256"] !== createHash("sha256").update(body).digest("hex"))
    return failure(400, "XAmzContentSHA256Mismatch");
  if (key === "") return bucketAnswer(double, seen);
  if (method === "POST" || query.has("uploadId")) return uploadAnswer(double, seen);
  const found = double.objects.get(key);
  const conflict = await refusedCondition(double, seen);
  if (conflict !== undefined) return conflict;
  switch (method) {
    case "PUT":
      return store(double, key, { body, meta: metaOf(headers) });
    case "DELETE":
      if (double.options.deletes === "denied") return failure(403, "AccessDenied");
      double.objects.delete(key);
      return { status: 204 };
    default:
      return found === undefined ? failure(404, "NoSuchKey") : readAnswer(found, headers.range, method);
  }
}

/** Conditions are looked at and acted upon in one turn: of those who race, one wins. */
async function refusedCondition(
  { objects, options, writing, chance }: S3Double,
  seen: Seen,
): Promise<Answer | undefined> {
  const { method, key, headers } = seen;
  const [ifMatch, ifNoneMatch] = [headers["if-match"], headers["if-none-match"]];
  if ((ifMatch ?? ifNoneMatch) === undefined || options.conditions === "ignored") return undefined;
  if (options.conditions === "refused") return failure(501, "NotImplemented");
  if (method === "DELETE" && options.deleteConditions === "ignored") return undefined;
  const others = writing.get(key) ?? 0;
  writing.set(key, others + 1);
  await new Promise((resolve) => setImmediate(resolve));
  writing.set(key, (writing.get(key) ?? 1) - 1);
  if (others > 0 && chance.next() < (options.conflicts ?? 0)) return failure(409, "ConditionalRequestConflict");
  const found = objects.get(key);
  if (ifNoneMatch === "*") return found === undefined ? undefined : failure(412, "PreconditionFailed");
  if (found === undefined) return failure(404, "NoSuchKey");
  const { etags = "quoted" } = options;
  const own = etags === "none" ? undefined : etags === "quoted" ? `"${found.etag}"` : found.etag;
  return ifMatch === own ? undefined : failure(412, "PreconditionFailed");
}

function store({ objects, options }: S3Double, key: string, { body, meta }: Omit<StoredObject, "etag">): Answer {
  const etag = createHash("md5").update(body).digest("hex");
  objects.set(key, { body, etag, meta });
  return {
    status: 200,
    headers: { etag: `"${etag}"`, ...(options.versioned === true ? { "x-amz-version-id": "1" } : {}) },
  };
}

function metaOf(headers: IncomingMessage["headers"]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      typeof value === "string" && (name.startsWith("x-amz-meta-") || name === "content-type") ? [[name, value]] : [],
    ),
  );
}

function readAnswer(found: StoredObject, range: string | undefined, method: string): Answer {
  const { body, etag, meta } = found;
  const headers = { etag: `"${etag}"`, "last-modified": "Wed, 25 Nov 2026 12:00:00 GMT", ...meta };
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? [];
  if (from === undefined) {
    const length = method === "HEAD" ? { "content-length": String(body.length) } : {};
    return { status: 200, headers: { ...headers, ...length }, body };
  }
  if (Number(from) >= body.length) return failure(416, "InvalidRange");
  return { status: 206, headers, body: body.subarray(Number(from), to === "" ? undefined : Number(to) + 1) };
}

function bucketAnswer(double: S3Double, { method, query, body }: Seen): Answer {
  const { objects, options } = double;
  if (method === "PUT") return { status: 200 };
  if (query.has("uploads")) return { status: 200, body: uploadsText(double, query) };
  if (query.has("lifecycle"))
    return options.lifecycle === undefined
      ? failure(404, "NoSuchLifecycleConfiguration")
      : { status: 200, body: options.lifecycle };
  if (method === "POST") {
    const keys = parseXml(body.toString())?.children.flatMap((one) => textOf(one, "Key") ?? []) ?? [];
    const denied = options.deletes === "denied" ? keys : [];
    for (const key of keys) if (denied.length === 0) objects.delete(key);
    return {
      status: 200,
      body: `<DeleteResult>${denied.map((key) => `<Error><Key>${escapeXml(key)}</Key><Code>AccessDenied</Code></Error>`).join("")}</DeleteResult>`,
    };
  }
  const prefix = query.get("prefix") ?? "";
  const after = Buffer.from(query.get("continuation-token") ?? "", "base64").toString();
  const keys = [...objects.keys()].slice(0, options.lists === "late" ? -1 : undefined);
  const cut = (key: string) => {
    const at = query.get("delimiter") === "/" ? key.indexOf("/", prefix.length) : -1;
    return at < 0 ? key : key.slice(0, at + 1);
  };
  const wanted = [...new Set(keys.filter((key) => key.startsWith(prefix)).map(cut))]
    .filter((entry) => entry > after)
    .sort(compareCodePoints);
  const page = wanted.slice(0, options.pageSize ?? 1000);
  const isLast = page.length === wanted.length;
  const entries = page.map((entry) => {
    const found = objects.get(entry);
    const name = encodeURIComponent(entry);
    return found === undefined
      ? `<CommonPrefixes><Prefix>${name}</Prefix></CommonPrefixes>`
      : `<Contents><Key>${name}</Key><ETag>&quot;${found.etag}&quot;</ETag><Size>${found.body.length}</Size></Contents>`;
  });
  const token = Buffer.from(page.at(-1) ?? "").toString("base64");
  const next = isLast ? "" : `<NextContinuationToken>${token}</NextContinuationToken>`;
  return {
    status: 200,
    body: `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>${!isLast}</IsTruncated>${next}${entries.join("")}</ListBucketResult>`,
  };
}

function uploadsText({ begun, uploads, options }: S3Double, query: URLSearchParams): string {
  const { pageSize = 1000 } = options;
  const after = query.get("upload-id-marker") ?? "";
  // In the order of their ids, which a store keeps within one key.
  const left = [...begun].filter(([id]) => uploads.has(id) && id > after).sort(([a], [b]) => compareCodePoints(a, b));
  const page = left.slice(0, pageSize);
  const [lastId = "", last] = page.at(-1) ?? [];
  const entries = page.map(
    ([id, { key, at }]) =>
      `<Upload><Key>${encodeURIComponent(key)}</Key><UploadId>${id}</UploadId><Initiated>${new Date(at).toISOString()}</Initiated></Upload>`,
  );
  const next = `<NextKeyMarker>${encodeURIComponent(last?.key ?? "")}</NextKeyMarker><NextUploadIdMarker>${lastId}</NextUploadIdMarker>`;
  const more = left.length > page.length;
  return `<ListMultipartUploadsResult><EncodingType>url</EncodingType><IsTruncated>${more}</IsTruncated>${more ? next : ""}${entries.join("")}</ListMultipartUploadsResult>`;
}

async function uploadAnswer(double: S3Double, seen: Seen): Promise<Answer> {
  const { method, key, query, headers, body } = seen;
  if (query.has("uploads")) {
    const id = `upload-${double.uploads.size + 1}`;
    double.uploads.set(id, new Map());
    double.begun.set(id, { key, at: Date.now() });
    double.objects.set(`\0${id}`, { body: Buffer.alloc(0), etag: "", meta: metaOf(headers) });
    return {
      status: 200,
      body: `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
    };
  }
  const id = query.get("uploadId") ?? "";
  const parts = double.uploads.get(id);
  if (parts === undefined) return failure(404, "NoSuchUpload");
  if (method === "PUT") {
    parts.set(Number(query.get("partNumber")), body);
    return { status: 200, headers: { etag: `"${createHash("md5").update(body).digest("hex")}"` } };
  }
  if (method === "POST") {
    const conflict = await refusedCondition(double, seen);
    if (conflict !== undefined) return conflict;
    const whole = Buffer.concat([...parts].sort(([a], [b]) => a - b).map(([, part]) => part));
    const meta = double.objects.get(`\0${id}`)?.meta ?? {};
    const stored = store(double, key, { body: whole, meta });
    double.uploads.delete(id);
    double.objects.delete(`\0${id}`);
    return {
      status: 200,
      body: `<CompleteMultipartUploadResult><ETag>${escapeXml(stored.headers?.["etag"] ?? "")}</ETag></CompleteMultipartUploadResult>`,
    };
  }
  double.uploads.delete(id);
  double.objects.delete(`\0${id}`);
  return { status: 204 };
}
