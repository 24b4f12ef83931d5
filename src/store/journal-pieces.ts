/**
 * What lies in the folder of a journal (decision 0008): pieces, `00000001` and so on, and where a run has ended one that holds all of them up to its number,
 * `00000057.whole`. Both are made once and never change; pieces that a whole one holds may be gone. So what was once seen of a journal stays right.
 */
import type { ObjectStore } from "./objects.ts";
import { missingObject } from "./object-paths.ts";

export interface Piece {
  readonly path: string;
  /** Of a whole one, the last that it holds. */
  readonly number: number;
  readonly size: number;
  readonly modifiedAt: number;
}

const maxPieceBytes = 1024 * 1024 * 1024;
const readAtOnce = 8;
/** So often may what is read be put together while it is read. */
const mostTurns = 3;

export class JournalPieces {
  readonly #objects: ObjectStore;
  /** The row of each journal as far as it was seen. */
  readonly #rows = new Map<string, readonly Piece[]>();

  constructor(objects: ObjectStore) {
    this.#objects = objects;
  }

  /** In order, from the first up to where one is missing, as of now; what was seen before isn't listed again. */
  async list(path: string): Promise<readonly Piece[]> {
    const known = this.#rows.get(path) ?? [];
    const [before, last] = [known.at(-2), known.at(-1)];
    const found: Piece[] = [];
    const wholes: Piece[] = [];
    const options = before === undefined ? {} : { after: before.path };
    for await (const { path: one, size, modifiedAt } of this.#objects.list(path, options)) {
      const [, digits, whole] = /\/(\d{8})(\.whole)?$/.exec(one) ?? [];
      if (digits === undefined) continue;
      (whole === undefined ? found : wholes).push({ path: one, number: Number(digits), size, modifiedAt });
    }
    const [longest] = wholes.sort((a, b) => b.number - a.number);
    const isWhole = longest !== undefined && longest.number >= (last?.number ?? 0);
    if (last !== undefined && !isWhole && !found.some((one) => one.path === last.path)) {
      this.forget(path); // removed, and perhaps made anew
      return this.list(path);
    }
    const row = isWhole ? [longest] : [...known];
    for (const piece of found.sort((a, b) => a.number - b.number))
      if (piece.number === (row.at(-1)?.number ?? 0) + 1) row.push(piece);
    this.#rows.set(path, row);
    return row;
  }

  /** Whether a whole one holds this number: then whoever found it free came too late. */
  async isClosed(path: string, number: number): Promise<boolean> {
    for await (const { path: one } of this.#objects.list(path, { after: pieceOf(path, number) }))
      if (/\/\d{8}\.whole$/.test(one)) return true;
    return false;
  }

  forget(path: string): void {
    this.#rows.delete(path);
  }

  /** Piece by piece, from `start` on; what was seen is enough where that is `size` bytes. Throws where there is none. */
  async *stream(path: string, start: number, size = Infinity): AsyncIterable<Uint8Array> {
    let at = start;
    for (let turn = 0; ; turn++) {
      const seen = this.#rows.get(path) ?? [];
      const row = seen.length > 0 && sizeOf(seen) >= size ? seen : await this.list(path);
      if (row.length === 0) throw missingObject(this.#objects, path);
      let isGone = false;
      for await (const bytes of this.#read(row, at)) {
        isGone = bytes === undefined;
        if (bytes === undefined) break;
        at += bytes.length;
        yield bytes;
      }
      if (!isGone) return;
      // Put together meanwhile: the whole one was there before the pieces went.
      this.forget(path);
      if (turn >= mostTurns) throw missingObject(this.#objects, path);
    }
  }

  /** Ends with undefined where a piece is gone. */
  async *#read(row: readonly Piece[], start: number): AsyncIterable<Uint8Array | undefined> {
    let before = 0;
    const wanted: { readonly path: string; readonly skip: number }[] = [];
    for (const { path, size } of row) {
      if (before + size > start) wanted.push({ path, skip: Math.max(0, start - before) });
      before += size;
    }
    const get = async ({ path, skip }: { readonly path: string; readonly skip: number }) =>
      (await this.#objects.get(path, { maxBytes: maxPieceBytes }))?.subarray(skip);
    for (let at = 0; at < wanted.length; at += readAtOnce)
      for (const bytes of await Promise.all(wanted.slice(at, at + readAtOnce).map(get))) {
        yield bytes;
        if (bytes === undefined) return;
      }
  }
}

export function pieceOf(path: string, number: number): string {
  return `${path}/${String(number).padStart(8, "0")}`;
}

export function wholeOf(path: string, number: number): string {
  return `${pieceOf(path, number)}.whole`;
}

export function sizeOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, piece) => sum + piece.size, 0);
}
