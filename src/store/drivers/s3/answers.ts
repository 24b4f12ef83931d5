/** Answers of S3 that have a body of their own, read as strictly as they must be. */
import { FenError } from "../../../kernel/errors.ts";
import { keyStart } from "./keys.ts";
import { child, type Element, parseXml, textOf } from "./xml.ts";

export interface ListedObject {
  readonly key: string;
  readonly etag: string;
  readonly size: number;
  /** Wall clock of the store, milliseconds. */
  readonly modifiedAt: number;
  /** How long before the answer that was; undefined where the store doesn't say. */
  readonly ageMs: number | undefined;
}

export interface ListPage {
  readonly objects: readonly ListedObject[];
  /** With a delimiter: what would be folders. */
  readonly folders: readonly string[];
  /** Where the next page begins; undefined on the last one. */
  readonly next: string | undefined;
}

/** Keys are asked for with `encoding-type=url`, since XML can't hold all of them. Throws `store_refused` for anything but a list. `now`: by the store's clock. */
export function readListPage(body: Uint8Array, now = Number.NaN): ListPage {
  const { root, rows } = listIn(textIn(body));
  const isEncoded = textOf(root, "EncodingType") === "url";
  const decode = (text: string): string =>
    isEncoded && /[%+]/.test(text) ? decodeURIComponent(text.replaceAll("+", " ")) : text;
  const next = textOf(root, "NextContinuationToken");
  if (textOf(root, "IsTruncated") === "true" && next === undefined) throw strange("a list that goes on nowhere");
  return {
    objects: Array.from(rows, ({ key, etag, size, modified }) => {
      const modifiedAt = Date.parse(modified);
      const ageMs = Number.isNaN(now - modifiedAt) ? undefined : now - modifiedAt;
      return { key: decode(key), etag, size: Number(size), modifiedAt, ageMs };
    }),
    folders: all(root, "CommonPrefixes").map((entry) => decode(needed(entry, "Prefix"))),
    next: textOf(root, "IsTruncated") === "true" ? next : undefined,
  };
}

/** As the store wrote it, but for the etag, which is bare. */
interface Row {
  readonly key: string;
  readonly etag: string;
  readonly size: string;
  readonly modified: string;
}

/** An object as most stores tell of it: fields of plain text, in this order. */
const plainRow =
  /<Contents><Key>([^<&]*)<\/Key><LastModified>([^<&]*)<\/LastModified><ETag>(?:&quot;|")([^<&"]*)(?:&quot;|")<\/ETag>(?:<(\w+)>[^<]*<\/\4>)*<Size>(\d+)<\/Size>(?:<(\w+)>[^<]*<\/\6>)*<\/Contents>/gy;

/** Long lists are read as rows, in a third of the time; what isn't so plain is read as the tree that it is. */
function listIn(text: string): { readonly root: Element; readonly rows: Iterable<Row> } {
  const start = text.indexOf("<Contents>");
  const found = start < 0 ? [] : [...text.slice(start).matchAll(plainRow)];
  const last = found.at(-1);
  if (last !== undefined) {
    const rest = text.slice(start + last.index + last[0].length);
    const root = named(`${text.slice(0, start)}<Contents/>${rest}`, "ListBucketResult");
    // Nothing but these rows, and they stand where rows do: not in a comment, nor in something else.
    if (all(root, "Contents").length === 1) return { root, rows: plainRows(found) };
  }
  const root = named(text, "ListBucketResult");
  return { root, rows: rowsOf(root) };
}

function* plainRows(found: Iterable<RegExpExecArray>): Iterable<Row> {
  for (const [, key = "", modified = "", etag = "", , size = ""] of found) yield { key, etag, size, modified };
}

function* rowsOf(root: Element): Iterable<Row> {
  for (const entry of all(root, "Contents"))
    yield {
      key: needed(entry, "Key"),
      etag: bareEtag(needed(entry, "ETag")),
      size: needed(entry, "Size"),
      modified: textOf(entry, "LastModified") ?? "",
    };
}

/** The id of a multipart upload that was begun. */
export function readUploadId(body: Uint8Array): string {
  return needed(named(textIn(body), "InitiateMultipartUploadResult"), "UploadId");
}

export interface ListedUpload {
  readonly key: string;
  readonly id: string;
  /** Wall clock of the store, milliseconds; NaN where it doesn't say. */
  readonly begunAt: number;
}

/** Uploads in parts that were begun and neither completed nor given up; `next`: where the next page begins. */
export function readUploads(body: Uint8Array): {
  readonly uploads: readonly ListedUpload[];
  readonly next: Readonly<Record<string, string>> | undefined;
} {
  const root = named(textIn(body), "ListMultipartUploadsResult");
  const isEncoded = textOf(root, "EncodingType") === "url";
  const decode = (text: string): string => (isEncoded ? decodeURIComponent(text.replaceAll("+", " ")) : text);
  const uploads = all(root, "Upload").map((entry) => ({
    key: decode(needed(entry, "Key")),
    id: needed(entry, "UploadId"),
    begunAt: Date.parse(textOf(entry, "Initiated") ?? ""),
  }));
  if (textOf(root, "IsTruncated") !== "true") return { uploads, next: undefined };
  const [key, id] = [needed(root, "NextKeyMarker"), textOf(root, "NextUploadIdMarker") ?? ""];
  return { uploads, next: { "key-marker": decode(key), ...(id === "" ? {} : { "upload-id-marker": id }) } };
}

/** Completing an upload may answer "200" and then say that it failed: undefined then. */
export function readCompletion(body: Uint8Array): { readonly etag: string } | undefined {
  const root = parseXml(textIn(body));
  const etag = textOf(root, "ETag");
  return root?.name === "CompleteMultipartUploadResult" && etag !== undefined ? { etag: bareEtag(etag) } : undefined;
}

/** The keys that a delete of many could not remove, and why. */
export function readDeletion(body: Uint8Array): readonly { readonly key: string; readonly code: string }[] {
  return all(named(textIn(body), "DeleteResult"), "Error").map((entry) => ({
    key: needed(entry, "Key"),
    code: textOf(entry, "Code") ?? "",
  }));
}

/** Whether a rule of the bucket's lifecycle removes current objects below a prefix: the rule's own name for people. */
export function readExpiration(body: Uint8Array, prefix: string): string | undefined {
  const rules = all(named(textIn(body), "LifecycleConfiguration"), "Rule");
  const start = keyStart(prefix);
  const rule = rules.find((one) => {
    const filter = child(one, "Filter");
    const both = child(filter, "And");
    const about = textOf(one, "Prefix") ?? textOf(filter, "Prefix") ?? textOf(both, "Prefix") ?? "";
    // Our objects have no tags.
    const isTagged = (child(filter, "Tag") ?? child(both, "Tag")) !== undefined;
    const isOurs = (about.startsWith(start) || start.startsWith(about)) && !isTagged;
    const expiration = child(one, "Expiration");
    // Else it only takes away the marks of what is deleted.
    const removes = (child(expiration, "Days") ?? child(expiration, "Date")) !== undefined;
    return textOf(one, "Status") === "Enabled" && removes && isOurs;
  });
  return rule === undefined ? undefined : (textOf(rule, "ID") ?? "without a name");
}

/** Without its quotes: stores differ in whether they want them back. */
export function bareEtag(etag: string): string {
  return etag.replaceAll(/^(?:W\/)?"|"$/g, "");
}

function textIn(body: Uint8Array): string {
  return new TextDecoder().decode(body);
}

function named(text: string, name: string): Element {
  const root = parseXml(text);
  if (root?.name !== name) throw strange(`something else than ${name}`);
  return root;
}

function all(element: Element, name: string): readonly Element[] {
  return element.children.filter((one) => one.name === name);
}

function needed(element: Element, name: string): string {
  const text = textOf(element, name);
  if (text === undefined) throw strange(`${element.name} without ${name}`);
  return text;
}

function strange(what: string): FenError {
  return new FenError("store_refused", `The store answered ${what}.`, {
    hint: "Is the endpoint an S3 server? Something between may have answered in its place.",
  });
}
