/**
 * Whole objects of an object store. Paths are relative to the datastore, with `/`, never with `..` (`path_escapes`). What is put is there whole or not at
 * all; a read that failed throws, and is never an absence. Lists show every put that was answered before they began.
 */

/** What becomes an object: bytes, or a file that doesn't change meanwhile. */
export interface Content {
  readonly source: Uint8Array | { readonly file: string };
  readonly size: number;
  /** Hexadecimal. What arrives is checked against it. */
  readonly sha256: string;
  readonly contentType: string;
}

export interface ObjectInfo {
  readonly path: string;
  readonly size: number;
  /** Wall clock of the store, milliseconds. */
  readonly modifiedAt: number;
  /** How long ago that was, by the same clock, to about a second. Of `head` only, where the store says it. */
  readonly ageMs?: number;
  /** Of content that went in one piece most stores say its MD5; others say something else, or nothing. */
  readonly etag?: string;
}

export interface ObjectStore {
  /** Puts a new object; `taken` where there is one already that isn't this very put: `nonce` tells. Asking again with the same nonce does no harm. */
  create(path: string, content: Content, options: { readonly nonce: string }): Promise<"put" | "taken">;
  /** Puts an object whatever is there: for what has one writer at a time, or is named by its content. */
  put(path: string, bytes: Uint8Array, options?: { readonly contentType?: string }): Promise<void>;
  /** The whole object, or undefined where there is none. Larger than `maxBytes`: `file_too_large`; another hash: `data_corrupt`. */
  get(path: string, options: { readonly maxBytes: number; readonly sha256?: string }): Promise<Uint8Array | undefined>;
  /** Into a new file that appears when it is complete and checked; false where there is no such object. */
  getTo(
    path: string,
    file: string,
    options: { readonly maxBytes: number; readonly sha256?: string; readonly signal?: AbortSignal },
  ): Promise<boolean>;
  head(path: string): Promise<ObjectInfo | undefined>;
  /** What is below a folder (everything, if empty), sorted; `after`: only what comes after this path. Costs as much as there is. */
  list(folder: string, options?: { readonly after?: string }): AsyncIterable<ObjectInfo>;
  /** The names in a folder, without what is further below. Costs as much as there are. */
  entries(folder: string): Promise<{ readonly folders: readonly string[]; readonly objects: readonly string[] }>;
  /** No error for what isn't there. */
  removeAll(paths: readonly string[]): Promise<void>;
  /** Removes the parts of uploads into a folder that were begun so long ago and not completed; gives how many. */
  abandonUploads(folder: string, options: { readonly olderThanMs: number }): Promise<number>;
  /** For people and programs: a URL without credentials. */
  locate(path: string): string;
}
