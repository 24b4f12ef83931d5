/** Answers of S3 that have a body of their own, read as strictly as they must be. */
import { FenError } from "../../../kernel/errors.ts";
import { child, type Element, parseXml, textOf } from "./xml.ts";

export interface ListedObject {
  readonly key: string;
  readonly etag: string;
  readonly size: number;
  /** Wall clock of the store, milliseconds. */
  readonly modifiedAt: number;
  /** How long before the answer that was. */
  readonly ageMs?: number;
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
  const root = named(body, "ListBucketResult");
  const isEncoded = textOf(root, "EncodingType") === "url";
  const decode = (text: string): string =>
    isEncoded && /[%+]/.test(text) ? decodeURIComponent(text.replaceAll("+", " ")) : text;
  const next = textOf(root, "NextContinuationToken");
  if (textOf(root, "IsTruncated") === "true" && next === undefined) throw strange("a list that goes on nowhere");
  return {
    objects: all(root, "Contents").map((entry) => ({
      key: decode(needed(entry, "Key")),
      etag: bareEtag(needed(entry, "ETag")),
      size: Number(needed(entry, "Size")),
      ...timesOf(textOf(entry, "LastModified"), now),
    })),
    folders: all(root, "CommonPrefixes").map((entry) => decode(needed(entry, "Prefix"))),
    next: textOf(root, "IsTruncated") === "true" ? next : undefined,
  };
}

function timesOf(modified: string | undefined, now: number): Pick<ListedObject, "ageMs" | "modifiedAt"> {
  const modifiedAt = Date.parse(modified ?? "");
  return { modifiedAt, ...(Number.isNaN(now - modifiedAt) ? {} : { ageMs: now - modifiedAt }) };
}

/** The id of a multipart upload that was begun. */
export function readUploadId(body: Uint8Array): string {
  return needed(named(body, "InitiateMultipartUploadResult"), "UploadId");
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
  const root = named(body, "ListMultipartUploadsResult");
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
  const root = parseXml(new TextDecoder().decode(body));
  const etag = textOf(root, "ETag");
  return root?.name === "CompleteMultipartUploadResult" && etag !== undefined ? { etag: bareEtag(etag) } : undefined;
}

/** The keys that a delete of many could not remove, and why. */
export function readDeletion(body: Uint8Array): readonly { readonly key: string; readonly code: string }[] {
  return all(named(body, "DeleteResult"), "Error").map((entry) => ({
    key: needed(entry, "Key"),
    code: textOf(entry, "Code") ?? "",
  }));
}

/** Whether a rule of the bucket's lifecycle removes current objects below a prefix: the rule's own name for people. */
export function readExpiration(body: Uint8Array, prefix: string): string | undefined {
  const rules = all(named(body, "LifecycleConfiguration"), "Rule");
  const rule = rules.find((one) => {
    const filter = child(one, "Filter");
    const about = textOf(one, "Prefix") ?? textOf(filter, "Prefix") ?? textOf(child(filter, "And"), "Prefix") ?? "";
    const isOurs = about.startsWith(prefix) || prefix.startsWith(about);
    return textOf(one, "Status") === "Enabled" && child(one, "Expiration") !== undefined && isOurs;
  });
  return rule === undefined ? undefined : (textOf(rule, "ID") ?? "without a name");
}

/** Without its quotes: stores differ in whether they want them back. */
export function bareEtag(etag: string): string {
  return etag.replaceAll(/^(?:W\/)?"|"$/g, "");
}

function named(body: Uint8Array, name: string): Element {
  const root = parseXml(new TextDecoder().decode(body));
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
