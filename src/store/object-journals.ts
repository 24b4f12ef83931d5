/**
 * Journals in an object store (decision 0008): an object for each time that somebody waits for what was appended, numbered from 1, made only where there is
 * none. So a journal has one writer: of two that would go on with it one finds the next number taken, and writes nothing any more.
 *
 * Who carries a run out is seen alive by an object that is written anew again and again; how old it is is a matter of the store's clock alone.
 */
import { FenError } from "../kernel/errors.ts";
import { ContentHash } from "../kernel/hash.ts";
import type { Machine } from "../kernel/machine.ts";
import type { Appender, FileInfo, Journals, LocalFiles, Owned } from "./contract.ts";
import { missingObject, removeObjects } from "./object-paths.ts";
import type { ObjectStore } from "./objects.ts";

interface Parts {
  readonly objects: ObjectStore;
  readonly local: LocalFiles;
  readonly machine: Machine;
  /** An owner that was quiet for longer is dead. */
  readonly quietMs: number;
}

interface Piece {
  readonly path: string;
  readonly number: number;
  readonly size: number;
  readonly modifiedAt: number;
}

const maxPieceBytes = 1024 * 1024 * 1024;
const readAtOnce = 8;
const beatsInQuiet = 5;

export class ObjectJournals implements Journals {
  readonly #parts: Parts;
  /** What ends the beats of an owner: resolves when none is on its way any more. */
  readonly #beats = new Map<string, () => Promise<unknown>>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  locate(path: string): string {
    return this.#parts.objects.locate(path);
  }

  async create(path: string): Promise<Appender> {
    return this.#appender(path, { number: 1, size: 0 });
  }

  async reopen(path: string): Promise<Appender> {
    const pieces = await this.#pieces(path);
    const last = pieces.at(-1);
    if (last === undefined) throw missingObject(this.#parts.objects, path);
    return this.#appender(path, { number: last.number + 1, size: sizeOf(pieces) });
  }

  async stat(path: string): Promise<FileInfo | undefined> {
    const pieces = await this.#pieces(path);
    const last = pieces.at(-1);
    return last === undefined ? undefined : { size: sizeOf(pieces), modifiedAt: last.modifiedAt, kind: "file" };
  }

  async *stream(path: string, { start = 0 }: { readonly start?: number } = {}): AsyncIterable<Uint8Array> {
    const pieces = await this.#pieces(path);
    if (pieces.length === 0) throw missingObject(this.#parts.objects, path);
    let before = 0;
    const wanted: { readonly piece: Piece; readonly skip: number }[] = [];
    for (const piece of pieces) {
      if (before + piece.size > start) wanted.push({ piece, skip: Math.max(0, start - before) });
      before += piece.size;
    }
    for (let at = 0; at < wanted.length; at += readAtOnce) {
      const some = wanted.slice(at, at + readAtOnce);
      yield* await Promise.all(some.map(async ({ piece, skip }) => (await this.#get(piece.path)).subarray(skip)));
    }
  }

  async read(path: string, { maxBytes }: { readonly maxBytes: number }): Promise<Uint8Array | undefined> {
    const pieces = await this.#pieces(path);
    if (pieces.length === 0) return undefined;
    if (sizeOf(pieces) > maxBytes)
      throw new FenError("file_too_large", `More than ${maxBytes} bytes: ${this.locate(path)}`, {
        facts: { path: this.locate(path), maxBytes },
      });
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.stream(path)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  async write(path: string, bytes: Uint8Array): Promise<void> {
    await this.#parts.objects.put(pieceOf(path, 1), bytes, { contentType });
  }

  async remove(path: string): Promise<boolean> {
    const { objects, local } = this.#parts;
    await this.#beats.get(path)?.();
    this.#beats.delete(path);
    const there = await removeObjects(objects, path);
    const here = await Promise.all([path, nonceFile(path)].map((one) => local.remove(one)));
    return there || here.includes(true);
  }

  async own(path: string): Promise<Owned> {
    const { objects, local, machine, quietMs } = this.#parts;
    const owned = await local.own(path);
    const nonce = machine.random.uuid();
    await local.write(nonceFile(path), nonce, { durable: false });
    const say = () => objects.put(path, new TextEncoder().encode(nonce), { contentType: "text/plain" });
    await say();
    let saying: Promise<unknown> | undefined;
    const timer = machine.clock.every(quietMs / beatsInQuiet, () => {
      // One that fails is followed by the next.
      saying ??= say()
        .catch(() => undefined)
        .finally(() => (saying = undefined));
    });
    this.#beats.set(path, async () => {
      timer[Symbol.dispose]();
      await saying;
    });
    return {
      letGo: () => {
        timer[Symbol.dispose]();
        owned.letGo();
      },
    };
  }

  async owner(path: string): Promise<"alive" | "dead" | "absent"> {
    const { objects, local, quietMs } = this.#parts;
    const found = await objects.head(path);
    if (found === undefined) return "absent";
    if (found.ageMs !== undefined && found.ageMs > quietMs) return "dead";
    // It may have died here a moment ago, and nobody else have gone on.
    if ((await local.owner(path)) !== "dead") return "alive";
    const [said, ours] = await Promise.all([
      objects.get(path, { maxBytes: 1000 }),
      local.read(nonceFile(path), { maxBytes: 1000 }),
    ]);
    return said !== undefined && ours !== undefined && Buffer.compare(said, ours) === 0 ? "dead" : "alive";
  }

  #appender(path: string, { number, size }: { number: number; size: number }): Appender {
    const { objects, machine } = this.#parts;
    let pending: Uint8Array[] = [];
    const put = async () => {
      if (pending.length === 0) return;
      const bytes = Buffer.concat(pending);
      pending = [];
      const hash = new ContentHash();
      hash.update(bytes);
      const content = { source: bytes, size: bytes.length, sha256: hash.digest(), contentType };
      const nonce = machine.random.uuid();
      if ((await objects.create(pieceOf(path, number), content, { nonce })) === "taken")
        throw takenUp(this.locate(path));
      number++;
    };
    let busy: Promise<void> = Promise.resolve();
    const sync = () => {
      const run = busy.then(put);
      busy = run.catch(() => undefined); // whoever waits for it hears of it
      return run;
    };
    return {
      get size() {
        return size;
      },
      append: (bytes) => {
        const all = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
        size += all.length;
        pending.push(all);
      },
      sync,
      close: async ({ durable = true } = {}) => {
        if (durable) await sync();
      },
    };
  }

  /** In order, from the first up to where one is missing. */
  async #pieces(path: string): Promise<readonly Piece[]> {
    const found: Piece[] = [];
    for await (const { path: one, size, modifiedAt } of this.#parts.objects.list(path)) {
      const number = Number(/\/(\d{8})$/.exec(one)?.[1] ?? "");
      if (number > 0) found.push({ path: one, number, size, modifiedAt });
    }
    found.sort((a, b) => a.number - b.number);
    return found.filter((piece, index) => piece.number === index + 1);
  }

  async #get(path: string): Promise<Uint8Array> {
    const bytes = await this.#parts.objects.get(path, { maxBytes: maxPieceBytes });
    if (bytes === undefined) throw missingObject(this.#parts.objects, path);
    return bytes;
  }
}

const contentType = "application/x-ndjson";

function pieceOf(path: string, number: number): string {
  return `${path}/${String(number).padStart(8, "0")}`;
}

/** What our word for the owner is, on this machine. */
function nonceFile(path: string): string {
  return `${path}.nonce`;
}

function sizeOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, piece) => sum + piece.size, 0);
}

function takenUp(path: string): FenError {
  return new FenError("lock_lost", `Another command goes on with this run: it has written to ${path}.`, {
    hint: "Nothing more was begun here. Look at the run: fen workflow history search",
    facts: { path },
  });
}
