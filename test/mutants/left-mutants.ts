/** Bugs in what becomes of what is left: by a sync, by the next command, and to those who only look. */
import type { Mutant } from "./mutant.ts";

const sync = { file: "app/datastore-sync.ts", check: "app/datastore-sync" };
const settle = { check: "app/settle", scenarios: [79] };
const truth = { check: "data/objects/object-versions", scenarios: [79] };
const record = { file: "app/record-truth.ts", check: "app/record-truth", scenarios: [79] };
const manifest = { file: "data/objects/manifest.ts", check: "data/objects/manifest", scenarios: [] };

export const leftMutants: readonly Mutant[] = [
  {
    ...sync,
    name: "a sync waits for the runs of its own machine",
    scenarios: [81],
    from: `if (model === undefined || alive.has(stagingFolder(model))) continue;`,
    to: `if (model === undefined) continue;`,
    test: "is not waited for, and keeps its staging",
  },
  {
    ...sync,
    name: "a sync brings the records of runs at work",
    scenarios: [],
    from: `for (const { id, type } of await living(local)) found.delete(\`\${type}/\${id}\`);`,
    to: ``,
    test: "is not waited for, and keeps its staging",
  },
  {
    ...sync,
    name: "a sync settles runs without their model's lock",
    scenarios: [],
    from: `    await using lease = await lockModel(workspace, model);
    const past`,
    to: `    const lease = { grants: [{ mode: "exclusive", holding: {}, resource: { kind: "datastore" } }], signal: context.signal, assertHeld: async () => {} } as any;
    const past`,
    test: "wait for whoever has the model",
  },
  {
    ...sync,
    name: "a sync brings records without their model's lock",
    scenarios: [],
    from: `await using _ = await lockModel(workspace, model);`,
    to: ``,
    test: "doesn't come without the lock of its model",
  },
  {
    ...sync,
    name: "a record comes before its log",
    scenarios: [],
    from: `    await files.sync(paths.filter((one) => one.endsWith(".log")));
    for (const path of paths.filter((one) => one.endsWith(".yaml"))) await pushRecord(workspace, model, path);
`,
    to: `    for (const path of paths.filter((one) => one.endsWith(".yaml"))) await pushRecord(workspace, model, path);
    await files.sync(paths.filter((one) => one.endsWith(".log")));
`,
    test: "doesn't come without the lock of its model",
  },
  {
    ...sync,
    name: "a sync brings the running of the dead",
    scenarios: [79],
    from: `if (stored?.record.status !== "running") return`,
    to: `if (stored !== undefined) return`,
    test: "that says running is of a run that is dead",
  },
  {
    ...sync,
    name: "a sync rewrites what runs have said of themselves",
    scenarios: [],
    from: `if (stored?.record.status !== "running") return`,
    to: `if (stored === undefined) return`,
    test: "is brought as it is where it says how its run ended",
  },
  {
    ...sync,
    name: "a sync brings the record of a workflow run that is carried out",
    scenarios: [],
    from: `      if ((await journals.owner(owner)) === "alive") continue;
      await files.sync(paths);`,
    to: `      await files.sync(paths);`,
    test: "are left alone where somebody goes on with it",
  },
  {
    ...sync,
    name: "a sync waits for the claim on a run that is carried out",
    scenarios: [],
    from: `if (paths.length === 0 || (await journals.owner(owner)) === "alive") continue;`,
    to: `if (paths.length === 0) continue;`,
    test: "are brought where nobody carries it out",
  },
  {
    ...sync,
    name: "a pull pushes",
    scenarios: [],
    from: `if (mode !== "pull") {`,
    to: `{`,
    test: "are committed by a push, once",
  },
  {
    ...sync,
    name: "one missing file is told twice",
    scenarios: [78],
    from: `errors: [...new Set([...errors, ...pulled.errors])]`,
    to: `errors: [...errors, ...pulled.errors]`,
    test: "is each missing file once",
  },
  {
    ...settle,
    name: "what a dead run has left in the object store is removed before its record says what it was",
    file: "data/objects/push.ts",
    from: `      await told(one);
      const wasThere`,
    to: `      queueMicrotask(() => void told(one).catch(() => undefined));
      const wasThere`,
    test: "ended at any moment: as long as the record",
  },
  {
    ...settle,
    name: "what a dead run has left in a folder is removed before its record says what it was",
    file: "data/commit.ts",
    from: `    await told(dropped);
    return (await files.remove(folder)) ? dropped : undefined;`,
    to: `    if (!(await files.remove(folder))) return undefined;
    await told(dropped);
    return dropped;`,
    test: "ended at any moment: as long as the record",
  },
  {
    ...settle,
    name: "what was committed later keeps the record of a run that failed",
    file: "app/settle.ts",
    from: `return versions?.every(isNamed) ?? true;`,
    to: `return true;`,
    test: "ended at any moment of the later commit",
  },
  {
    ...settle,
    name: "a folder whose old name a power cut brought back unmakes what its run had said",
    scenarios: [],
    file: "app/settle.ts",
    from: `dataArtifacts.length === 0 || lockNonce === undefined;`,
    to: `dataArtifacts.length === 0;`,
    test: "a record that was written after the commit stays",
  },
  {
    ...settle,
    name: "a later commit that was done already isn't told",
    file: "data/objects/push.ts",
    from: `if (versions.length > 0) return { runId, committed: true, versions };`,
    to: `if (versions.length > 0) return { runId, committed: true };`,
    test: "ended at any moment of the later commit",
  },
  {
    ...truth,
    name: "a number that another has is taken for one's own",
    file: "data/objects/object-versions.ts",
    from: `return metadata === undefined || metadata.id === dataId;`,
    to: `return metadata === undefined || dataId !== "";`,
    test: "was committed if a version has its id",
  },
  {
    ...truth,
    name: "what was removed is taken for never committed",
    file: "data/objects/object-versions.ts",
    from: `if (!wasGiven(manifest, name, number)) return false;`,
    to: `return false;`,
    test: "was committed if it was removed since",
  },
  {
    ...truth,
    name: "a number that was passed over is taken for given",
    file: "data/objects/push.ts",
    from: `(before, { name, ...range }) => withSkipped(before, name, range), now);`,
    to: `(before, { name, ...range }) => withSkipped(before, name, { ...range, to: range.from }), now);`,
    test: "was committed if it was removed since",
  },
  {
    ...truth,
    name: "a commit that was not there a moment ago is not looked for again",
    file: "data/objects/object-versions.ts",
    from: `this.#hasCommitted(await this.refresh(model), model, versions)`,
    to: `this.#hasCommitted(await this.manifest(model), model, versions)`,
    test: "is asked for anew where it wasn't there yet",
  },
  {
    ...record,
    name: "who looks once takes a commit in between for none",
    from: `    // Committed and gone between the two looks.
    if (await this.#isDone(stored)) return record;`,
    to: ``,
    test: "says what it says where the commit came between two looks",
  },
  {
    ...record,
    name: "what isn't committed yet is told as interrupted",
    from: `    if (held.some((lock) => isOwn(lock, record))) {
      const`,
    to: `    if (held.some((lock) => isOwn(lock, { ...record, lockNonce: "another" }))) {
      const`,
    test: "says running before its commit",
  },
  {
    ...record,
    name: "any holder of the model is taken for the run's own",
    from: `lock.state === "held" && lock.record?.nonce === lockNonce`,
    to: `lock.state === "held"`,
    test: "says interrupted, without data, when its lock is in other hands",
  },
  {
    ...record,
    name: "a failed read of the versions is taken for a commit",
    from: `if (error instanceof FenError && error.kind === "bad_data") return true;`,
    to: `return true;`,
    test: "is believed where the list of versions is damaged",
  },
  {
    ...manifest,
    name: "numbers that were passed over are forgotten in the text",
    from: `...(skipped.length === 0 ? {} : { skipped: rangesOf(skipped) }),`,
    to: ``,
    test: "knows which numbers no version ever had",
  },
  {
    ...manifest,
    name: "a number that comes late stays passed over",
    from: `withSkips(series, skipped, [metadata.version]));`,
    to: `withSkips(series, skipped, []));`,
    test: "takes a number that was passed over for given",
  },
];
