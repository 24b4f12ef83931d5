/**
 * The program without locks on its datastore in S3: what is left of a run there are the puts of its outputs, its record and its log, by the same
 * processes with the same client. What the locks cost is measured against it.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { program } from "../test/support/cli.ts";

/** Grants at once, on a model without versions, and commits without a word. A chunk of the program loads it. */
const unlocked = `"use strict";
exports.Unlocked = class {
  async join(resource, mode, { nonce, pid, owner }) {
    const holding = { resource, mode, nonce, token: 1, pid, owner };
    const head = JSON.stringify({ v: 1, stamp: nonce, names: [] });
    const grant = { resource, mode, nonce, token: 1, holding, head, check: async () => "held", commit: async () => true, refresh: async () => {}, release: async () => {} };
    return { attempt: async () => ({ outcome: "granted", grant }), changed: async () => {}, leave: async () => {} };
  }
  async inspect() { return { held: [], waiting: [] }; }
  async inherit() { return { holdings: [], unshared: [] }; }
  async head() { return undefined; }
  async revoke() { return false; }
};
`;
const real = "new CasLocks(";

export interface Unlocked {
  readonly program: string;
  remove(): void;
}

/** A copy of the built program. Its first run with `FEN_WRITE_CODE_CACHE=1` gives it the code cache that a build has. */
export function unlockedProgram(): Unlocked {
  const dist = dirname(program);
  // Where it finds the same modules.
  const folder = mkdtempSync(join(dirname(dist), "node_modules/.fen-unlocked-"));
  cpSync(dist, folder, { recursive: true });
  const stub = join(folder, "unlocked.cjs");
  writeFileSync(stub, unlocked);
  const chunks = readdirSync(folder).map((name) => join(folder, name));
  const chunk = chunks.find((path) => path.endsWith(".cjs") && readFileSync(path, "utf8").includes(real));
  if (chunk === undefined) throw new Error("the built program takes no locks");
  writeFileSync(chunk, readFileSync(chunk, "utf8").replace(real, `new (require(${JSON.stringify(stub)}).Unlocked)(`));
  rmSync(`${chunk}.cache`, { force: true });
  return { program: join(folder, "fen.cjs"), remove: () => rmSync(folder, { recursive: true, force: true }) };
}
