/**
 * Journals in an object store (decision 0008): an object for each time that somebody waits for what was appended, numbered from 1, made only where there is
 * none. So a journal has one writer: of two that would go on with it one finds the next number taken, and writes nothing any more.
 *
 * Who carries a run out is seen alive by an object that is written anew again and again; how old it is is a matter of the store's clock alone.
 */
import { FenError } from "../kernel/errors.ts";
import { ContentHash } from "../kernel/hash.ts";
import type { Machine } from "../kernel/machine.ts";
import { JournalPieces, pieceOf, sizeOf, wholeOf } from "./journal-pieces.ts";
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

/** What one writer has written. */
interface Session {
  readonly first: number;
  readonly last: number;
  readonly before: number;
  readonly written: readonly Uint8Array[];
}

/** What shows that we own something. */
interface Word {
  readonly nonce: string;
  /** No more beats: resolves when none is on its way any more. */
  end(): Promise<void>;
}

const maxWordBytes = 1000;
/** Runs of fewer pieces are as quick to read as they are. */
const worthIt = 8;
const beatsInQuiet = 5;

export class ObjectJournals implements Journals {
  readonly #parts: Parts;
  readonly #pieces: JournalPieces;
  readonly #words = new Map<string, Word>();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#pieces = new JournalPieces(parts.objects);
  }

  locate(path: string): string {
    return this.#parts.objects.locate(path);
  }

  async create(path: string): Promise<Appender> {
    return this.#appender(path, { number: 1, before: 0 });
  }

  async reopen(path: string, { size }: { readonly size?: number } = {}): Promise<Appender> {
    const pieces = await this.#pieces.list(path);
    const last = pieces.at(-1);
    if (last === undefined) throw missingObject(this.#parts.objects, path);
    const before = sizeOf(pieces);
    if (size !== undefined && size !== before) throw takenUp(this.locate(path));
    return this.#appender(path, { number: last.number + 1, before });
  }

  async stat(path: string): Promise<FileInfo | undefined> {
    const pieces = await this.#pieces.list(path);
    const last = pieces.at(-1);
    return last === undefined ? undefined : { size: sizeOf(pieces), modifiedAt: last.modifiedAt, kind: "file" };
  }

  stream(
    path: string,
    { start = 0, size }: { readonly start?: number; readonly size?: number } = {},
  ): AsyncIterable<Uint8Array> {
    return this.#pieces.stream(path, start, size);
  }

  async read(path: string, { maxBytes }: { readonly maxBytes: number }): Promise<Uint8Array | undefined> {
    const pieces = await this.#pieces.list(path);
    if (pieces.length === 0) return undefined;
    if (sizeOf(pieces) > maxBytes)
      throw new FenError("file_too_large", `More than ${maxBytes} bytes: ${this.locate(path)}`, {
        facts: { path: this.locate(path), maxBytes },
      });
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.stream(path, { size: sizeOf(pieces) })) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  async write(path: string, bytes: Uint8Array): Promise<void> {
    await this.#parts.objects.put(pieceOf(path, 1), bytes, { contentType });
  }

  /** Of an owner only our own word goes, or that of one who is dead: of two who would go on with a run, who gives up leaves that of the other. */
  async remove(path: string): Promise<boolean> {
    const { objects, local } = this.#parts;
    const word = this.#words.get(path);
    await word?.end();
    this.#words.delete(path);
    this.#pieces.forget(path);
    const said = await objects.get(path, { maxBytes: maxWordBytes });
    const isTheirs = said !== undefined && !isWord(said, word?.nonce) && (await this.owner(path)) === "alive";
    const there = !isTheirs && (await removeObjects(objects, path));
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
    const end = async () => {
      timer[Symbol.dispose]();
      await saying;
    };
    this.#words.set(path, { nonce, end });
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
      objects.get(path, { maxBytes: maxWordBytes }),
      local.read(nonceFile(path), { maxBytes: maxWordBytes }),
    ]);
    return said !== undefined && ours !== undefined && Buffer.compare(said, ours) === 0 ? "dead" : "alive";
  }

  /** `before`: the bytes of the pieces before the first one of ours. */
  #appender(path: string, { number: first, before }: { readonly number: number; readonly before: number }): Appender {
    let number = first;
    let size = before;
    let pending: Uint8Array[] = [];
    const written: Uint8Array[] = [];
    const put = async () => {
      if (pending.length === 0) return;
      const bytes = Buffer.concat(pending);
      pending = [];
      if (!(await this.#make(pieceOf(path, number), bytes))) throw takenUp(this.locate(path));
      // Who goes on with a run may have looked before it ended: then its number was taken, and set free again.
      if (number === first && first > 1 && (await this.#pieces.isClosed(path, number)))
        throw takenUp(this.locate(path));
      written.push(bytes);
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
        if (!durable) return;
        await sync();
        if (number - first > worthIt) await this.#putTogether(path, { first, last: number - 1, before, written });
      },
    };
  }

  /**
   * One object for all pieces, of a writer that writes no more: the run stays quick to read. Its pieces go, but for the first: that one keeps those out who would
   * go on from where it began. Nothing is lost where this doesn't work out, or ends in the middle.
   */
  async #putTogether(path: string, { first, last, before, written }: Session): Promise<void> {
    const { objects } = this.#parts;
    try {
      const earlier: Uint8Array[] = [];
      let missing = before;
      for await (const bytes of before === 0 ? [] : this.#pieces.stream(path, 0)) {
        earlier.push(bytes.subarray(0, missing));
        missing -= Math.min(missing, bytes.length);
        if (missing === 0) break;
      }
      if (!(await this.#make(wholeOf(path, last), Buffer.concat([...earlier, ...written])))) return;
      const doomed = Array.from({ length: last - first }, (_, index) => pieceOf(path, first + 1 + index));
      if (first > 1) doomed.push(wholeOf(path, first - 1));
      this.#pieces.forget(path);
      await objects.removeAll(doomed);
    } catch (error) {
      if (!(error instanceof FenError)) throw error; // the store fails: the pieces are there
    }
  }

  /** False where there is one already. */
  async #make(path: string, bytes: Uint8Array): Promise<boolean> {
    const { objects, machine } = this.#parts;
    const hash = new ContentHash();
    hash.update(bytes);
    const content = { source: bytes, size: bytes.length, sha256: hash.digest(), contentType };
    return (await objects.create(path, content, { nonce: machine.random.uuid() })) === "put";
  }
}

const contentType = "application/x-ndjson";

function isWord(said: Uint8Array, nonce: string | undefined): boolean {
  return nonce !== undefined && new TextDecoder().decode(said) === nonce;
}

/** What our word for the owner is, on this machine. */
function nonceFile(path: string): string {
  return `${path}.nonce`;
}

function takenUp(path: string): FenError {
  return new FenError("lock_lost", `Another command goes on with this run: it has written to ${path}.`, {
    hint: "Nothing more was begun here. Look at the run: fen workflow history search",
    facts: { path },
  });
}
