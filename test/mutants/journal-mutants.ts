/** Bugs in journals of object stores, in logs that several machines have written, and in what a run does with its locks. */
import type { Mutant } from "./mutant.ts";

const orders = "in 250 orders of requests";
const journals = { file: "store/object-journals.ts", check: "store/object-journals", scenarios: [] };
const pieces = { ...journals, file: "store/journal-pieces.ts" };
const logs = { file: "store/object-files.ts", check: "store/object-files", scenarios: [] };
const locks = { file: "app/run-locks.ts", check: "app/run-locks", scenarios: [] };
const alone = "a lock goes back with the last commit only where nothing else wants it";

export const journalMutants: readonly Mutant[] = [
  {
    ...journals,
    name: "two machines go on with one run, one after the other",
    from: `if (size !== undefined && size !== before) throw`,
    to: `if (size !== undefined && size > before) throw`,
    test: orders,
  },
  {
    ...journals,
    name: "who gives up a run takes the word of who goes on with it",
    from: `const there = !isTheirs && (await`,
    to: `const there = (await`,
    test: "leave each other's word where it is",
  },
  {
    ...journals,
    name: "a number that was set free by an end is taken for the next",
    from: `(await this.#pieces.isClosed(path, number))`,
    to: `false`,
    test: orders,
  },
  {
    ...journals,
    name: "the first piece of a writer goes with the others",
    from: `{ length: last - first }, (_, index) => pieceOf(path, first + 1 + index)`,
    to: `{ length: last - first + 1 }, (_, index) => pieceOf(path, first + index)`,
    test: orders,
  },
  {
    ...journals,
    name: "pieces go before the whole one is there",
    from: `      if (!(await this.#make(wholeOf(path, last), Buffer.concat([...earlier, ...written])))) return;`,
    to: `      await objects.removeAll(Array.from({ length: last - first }, (_, index) => pieceOf(path, first + 1 + index)));
      if (!(await this.#make(wholeOf(path, last), Buffer.concat([...earlier, ...written])))) return;`,
    test: "stays as it is where it can't be put together",
  },
  {
    ...journals,
    name: "a run that went on is put together without what was before",
    from: `Buffer.concat([...earlier, ...written])`,
    to: `Buffer.concat(written)`,
    test: "is gone on with after what it holds",
  },
  {
    ...pieces,
    name: "who reads gives up where a piece has gone",
    from: `if (turn >= mostTurns) throw`,
    to: `throw`,
    test: orders,
  },
  {
    ...pieces,
    name: "one look serves all later reads",
    from: `seen.length > 0 && sizeOf(seen) >= size ? seen`,
    to: `seen.length > 0 ? seen`,
    test: "asks for a list once to look and read",
  },
  {
    ...pieces,
    name: "a journal that was removed is there for who has seen it",
    from: `if (last !== undefined && !isWhole && !found.some((one) => one.path === last.path)) {`,
    to: `if (last !== undefined && !isWhole && found.length > 99) {`,
    test: "asks for a list once to look and read",
  },
  {
    ...logs,
    name: "what a log has here and there is said twice",
    from: `if (there === undefined || (here !== undefined && beginsWith(here, there))) return here !== undefined;`,
    to: `if (there === undefined) return here !== undefined;`,
    test: "a log of which a part is there, and all of it here",
  },
  {
    ...locks,
    name: "a lock goes back with a commit though a later step wants it",
    from: `(this.#uses.get(key) ?? 0) > (isPlanned ? 2 : 1)`,
    to: `(this.#uses.get(key) ?? 0) > 99`,
    test: alone,
  },
  {
    ...locks,
    name: "a lock that went back with a commit is given to a later step",
    from: `if (this.#count(request, -1) > 0 && !this.#spent.has(key)) return;`,
    to: `if (this.#count(request, -1) > 0) return;`,
    test: alone,
  },
  {
    ...locks,
    name: "a lock that is only shared goes back with a commit",
    from: `if (request.mode !== "exclusive" || `,
    to: `if (`,
    test: alone,
  },
];
