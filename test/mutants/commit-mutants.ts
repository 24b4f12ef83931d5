/** Bugs in the commit of outputs: what the lock and its loss are for in the end. */
import type { Mutant } from "./mutant.ts";

const check = "data/staging";
const eachStep = "at any change of a file either has committed, or says lock_lost";

export const commitMutants: readonly Mutant[] = [
  {
    name: "nobody asks whether the lock is still held before the commit",
    scenarios: [9],
    file: "data/commit.ts",
    from: `  await held.assertHeld();
  if (planned`,
    to: `  if (planned`,
    check,
    test: "commits nothing, also where nobody has come after it",
  },
  {
    name: "a commit whose folder was taken away is thought done",
    scenarios: [9],
    file: "data/commit.ts",
    from: `if (committed.outcome !== "adopted") throw lostBefore();`,
    to: `if (committed.outcome === "taken") throw lostBefore();`,
    check,
    test: "between the check and its commit finds its folder gone",
  },
  {
    name: "what another finishes of a commit is passed over in silence",
    scenarios: [9, 82],
    file: "data/commit.ts",
    from: `if (there.length < metadatas.length) throw lostAfter();`,
    to: ``,
    check,
    test: eachStep,
  },
  {
    name: "outputs that are opened at the same time are one file",
    scenarios: [],
    file: "data/staging.ts",
    from: `    this.#isOwnerTaken = true;
`,
    to: ``,
    check,
    test: "outputs that are opened at the same time are files of their own",
  },
  {
    name: "what was made ready for an output that doesn't come is committed",
    scenarios: [],
    file: "data/staging.ts",
    from: `      await this.#dropUnused(folder);
`,
    to: ``,
    check,
    test: "at any change of a file, before or after its effect, leaves its data whole or not at all",
  },
  {
    name: "what was made ready is written into, wherever it is by now",
    scenarios: [],
    file: "store/drivers/filesystem/ready-files.ts",
    from: `if (ours.ino === there?.ino && ours.dev === there.dev && there.size === 0) return fd;`,
    to: `if (ours.size >= 0 || there !== undefined) return fd;`,
    check,
    test: "commits all that it produced though its folder is removed",
  },
  {
    name: "links that a command makes while it is at work are followed out of the datastore",
    scenarios: [],
    file: "store/drivers/filesystem/files.ts",
    from: `if (this.#isAtWork) this.#inRoot.clear();`,
    to: ``,
    check,
    test: "writes nothing elsewhere where",
  },
  {
    name: "what couldn't be committed is dropped, not kept aside",
    scenarios: [9],
    file: "data/staging.ts",
    from: `const place = await putAside(this.#files, this.#folder, this.#runId);`,
    to: `const place = (await this.#files.remove(this.#folder)) ? path : path;`,
    check,
    test: "keeps what was too large for memory, too",
  },
  {
    name: "what a former holder staged who still lives is removed",
    scenarios: [9],
    file: "data/commit.ts",
    from: `if (owner === "dead" || (owner === "absent" && isEmpty)) {`,
    to: `if (owner !== "absent" || isEmpty) {`,
    check,
    test: "keeps what was too large for memory, too",
  },
  {
    name: "a successor looks only once for what a former holder commits",
    scenarios: [9],
    file: "data/commit.ts",
    from: `  for (;;) {
    const names = (await files.list(`,
    to: `  for (let looks = 0; ; looks++) {
    if (looks > 0) return recovered;
    const names = (await files.list(`,
    check,
    test: "that commits while its successor is about to put its folder aside has committed",
  },
  {
    name: "a successor moves a living holder's outputs beside it",
    scenarios: [9],
    file: "data/commit.ts",
    from: `if ((await files.owner(\`\${folder}/\${ownerFile}\`)) !== "dead") {`,
    to: `if ((await files.owner(\`\${folder}/\${ownerFile}\`)) === "absent") {`,
    check,
    test: "finds nothing any more in a commit that its successor has begun to finish",
  },
  {
    name: "a number that is taken meanwhile is taken for our commit",
    scenarios: [46],
    file: "data/commit.ts",
    from: `if (outcome === "adopted") break;`,
    to: `if (outcome !== undefined) break;`,
    check,
    test: "twelve at once give twelve versions without a gap",
  },
  {
    name: "whoever finishes a dead one's commit doesn't tell which version is the latest",
    scenarios: [],
    file: "data/commit.ts",
    from: `for (const name of await data.names(model)) await data.setLatest(model, name);`,
    to: `for (const name of await data.names(model)) await data.nextNumber(model, name);`,
    check,
    test: "at any change of a file, before or after its effect, leaves its data whole or not at all",
  },
  {
    name: "the end of a step is written before its outputs survive a power cut",
    scenarios: [],
    file: "app/workflow-step.ts",
    from: `await done.run?.settle();`,
    to: `void done.run?.settle().catch(() => undefined);`,
    check: "app/workflow-engine.disk",
    test: "a step whose outputs may not survive has failed",
  },
  {
    name: "what a disk can't say to be durable is taken for it",
    scenarios: [],
    file: "kernel/disk-thread.ts",
    from: `(await this.#disks?.sync()) !== true`,
    to: `(await this.#disks?.sync()) === undefined`,
    check: "kernel/disk-thread",
    test: "what can't be made durable all at once is asked for file by file",
  },
  {
    name: "a failure of the disk is told, and forgotten",
    scenarios: [],
    file: "kernel/whole-disks.ts",
    from: `this.#isPossible = results.every((result) => result === 0);
    return this.#isPossible;`,
    to: `return results.every((result) => result === 0);`,
    check: "kernel/whole-disks",
    test: "a failure is told, and from then on",
  },
  {
    name: "a version is removed file by file in its place",
    scenarios: [],
    file: "data/folders.ts",
    from: `const outcome = await this.#rename(folder, gone);`,
    to: `const outcome: string = "impossible";`,
    check: "data/folders",
    test: "is gone whole, though who removes it dies half-way",
  },
  {
    name: "the rename that commits may come to the disk later",
    scenarios: [],
    file: "data/commit.ts",
    from: `to: committing, durable: true }`,
    to: `to: committing, durable: false }`,
    check,
    test: "under the lock only for the one rename that commits it",
  },
  {
    name: "what came to nothing half-way is kept aside as if it were whole",
    scenarios: [],
    file: "data/staging.ts",
    from: `if (!isKept) await unlessStoreFails(this.#files.remove(aside));
    return isKept;`,
    to: `return true;`,
    check,
    test: "what can't be written isn't kept half",
  },
  {
    name: "whoever asks later is served by a sync that was before",
    scenarios: [],
    file: "kernel/quick-disk.ts",
    from: `    this.#next = undefined;
`,
    to: ``,
    check: "kernel/quick-disk",
    test: "who asks while a call is under way isn't served by that one",
  },
  {
    name: "a disk that couldn't be made durable as a whole is asked again, and believed",
    scenarios: [],
    file: "kernel/quick-disk.ts",
    from: `this.#isPossible &&= (`,
    to: `this.#isPossible = (`,
    check: "kernel/quick-disk",
    test: "a call that failed says nothing of anybody's files",
  },
  {
    name: "what comes after a folder that couldn't be moved is done all the same",
    scenarios: [],
    file: "kernel/disk-steps.ts",
    from: `if (done.outcome !== undefined && done.outcome !== "adopted") return;`,
    to: ``,
    check: "kernel/disk-steps",
    test: "a folder gets its new name where nothing is called that",
  },
  {
    name: "the thread for the disk follows links out of the datastore",
    scenarios: [],
    file: "kernel/disk-steps.ts",
    from: `if (info?.isDirectory() === false || at.length < root.length) throw this.#unsureOf(at);`,
    to: `if (at.length < root.length) throw this.#unsureOf(at);`,
    check: "kernel/disk-steps",
    test: "is not sure of a file behind a link",
  },
  {
    name: "names above that aren't on the disk yet are forgotten where a sync fails",
    scenarios: [],
    file: "kernel/disk-steps.ts",
    from: `    await this.#sync([...new Set([...above.keys(), ...paths])], open);
`,
    to: `    for (const one of above.keys()) this.#unsettled.delete(one);
    await this.#sync([...new Set([...above.keys(), ...paths])], open);
`,
    check: "kernel/disk-steps",
    test: "names above are synced once, again where that failed",
  },
  {
    name: "an output is written into what tells that the whole run lives",
    scenarios: [],
    file: "store/drivers/filesystem/files.ts",
    from: `owned !== undefined && this.#owned.has(owned);`,
    to: `owned !== undefined;`,
    check: "store/drivers/filesystem/steps-elsewhere",
    test: "nor into what shares a life",
  },
  {
    name: "any number of steps may be finishing beside those at work",
    scenarios: [],
    file: "workflow/slots.ts",
    from: `      if (this.#freeToFinish === 0) return;
`,
    to: "",
    check: "workflow/slots",
    test: "lets another begin, as long as few are finishing",
  },
  {
    name: "who found no room among the finishing gets none later",
    scenarios: [],
    file: "workflow/slots.ts",
    from: `        this.#toFinish.delete(beginFinishing);
        this.#letFinish();
`,
    to: `        this.#toFinish.delete(beginFinishing);
`,
    check: "workflow/slots",
    test: "one too many is finishing as soon as another is over",
  },
  {
    name: "who is over before there was room among the finishing takes it all the same",
    scenarios: [],
    file: "workflow/slots.ts",
    from: `        this.#toFinish.delete(beginFinishing);
        this.#letFinish();
`,
    to: `        this.#letFinish();
`,
    check: "workflow/slots",
    test: "one too many is finishing as soon as another is over",
  },
];
