/** Commands on data and on where it lives. */
import type { ArgumentSpec, CommandSpec, FlagSpec } from "../command.ts";
import { model, query, dataName, force, dryRun, limit, stream, version } from "./parts.ts";

const modelOrWorkflow: ArgumentSpec = {
  ...model,
  summary: "Name or id of a model (not with --workflow)",
  unless: "workflow",
};
const ofRun: Readonly<Record<string, FlagSpec>> = {
  workflow: {
    type: "text",
    value: "WORKFLOW",
    complete: "workflow",
    summary: "Instead of a model: what the steps of a run of this workflow left",
  },
  run: {
    type: "text",
    value: "RUN",
    complete: "run",
    summary: "With --workflow: this run, by its id or first digits (default: the newest)",
  },
};

const migration: Readonly<Record<string, FlagSpec>> = {
  "dry-run": dryRun,
  "skip-migration": { type: "switch", summary: "Leave what the datastore has now where it is" },
};

export const dataCommands: readonly CommandSpec[] = [
  {
    path: ["data", "get"],
    summary: "Show data of a model, or of a run of a workflow",
    arguments: [modelOrWorkflow, dataName],
    flags: {
      version,
      ...ofRun,
      "no-content": { type: "switch", summary: "Metadata only" },
      raw: { type: "switch", summary: "Only the bytes, as they are" },
    },
    examples: [
      "fen data get web-01 result",
      "fen data get web-01 log --raw",
      "fen data get --workflow patch-fleet result",
    ],
    load: () => import("../commands/data/get.ts"),
  },
  {
    path: ["data", "list"],
    summary: "List the data of a model, or of a run of a workflow",
    details:
      "Of a model, the newest version of each name; of a run, every version that its own steps left. A workflow that a step calls has a run of its own.",
    arguments: [modelOrWorkflow],
    flags: { type: { type: "text", value: "TYPE", summary: "resource or file" }, ...ofRun },
    examples: ["fen data list web-01", "fen data list --workflow patch-fleet --run 3f0f3c0e"],
    load: () => import("../commands/data/list.ts"),
  },
  {
    path: ["data", "search"],
    summary: "Find data of all models, newest first",
    details: "The newest version of each name; with --run or --output, every version that it made.",
    arguments: [query],
    flags: {
      type: { type: "text", value: "TYPE", summary: "resource or file" },
      model: { type: "text", value: "MODEL", complete: "model", summary: "Of this model" },
      lifetime: { type: "text", value: "L", summary: "Kept so long: infinite, 7d, ..." },
      "content-type": { type: "text", value: "T", summary: "Of this content type: text/plain, ..." },
      since: { type: "text", value: "7d", summary: "Made within this time: 30m, 12h, 7d" },
      workflow: { type: "text", value: "WORKFLOW", complete: "workflow", summary: "Made by a run of this workflow" },
      run: {
        type: "text",
        value: "RUN",
        complete: "run",
        summary: "Made by this run of a workflow: its id or first digits (at least 3)",
      },
      output: {
        type: "text",
        value: "ID",
        summary: "Made by this run of a method: the id of its output, or first digits (at least 3)",
      },
      "owner-type": { type: "text", value: "T", summary: "Of this kind of owner: model-method, workflow-step, manual" },
      streaming: { type: "switch", summary: "Written while the method ran: logs" },
      tag: { type: "text", repeat: true, value: "K=V", summary: "With this tag" },
      limit,
    },
    examples: ["fen data search --model web-01 --since 7d --tag site=ams", "fen data search --run 3f0f3c0e"],
    load: () => import("../commands/data/search.ts"),
  },
  {
    path: ["data", "versions"],
    summary: "List the versions of data, newest first",
    arguments: [model, dataName],
    examples: ["fen data versions web-01 result"],
    load: () => import("../commands/data/versions.ts"),
  },
  {
    path: ["data", "delete"],
    summary: "Delete data of a model, or one version",
    arguments: [model, dataName],
    flags: { version: { ...version, summary: "Only this version" }, force },
    locks: true,
    examples: ["fen data delete web-01 log --version 3", "fen data delete web-01 log --force"],
    load: () => import("../commands/data/delete.ts"),
  },
  {
    path: ["data", "rename"],
    summary: "Rename data; the old name leads to the new one",
    arguments: [model, { ...dataName, name: "old" }, { name: "new", summary: "The new name" }],
    locks: true,
    examples: ["fen data rename web-01 log old-log"],
    load: () => import("../commands/data/rename.ts"),
  },
  {
    path: ["data", "gc"],
    summary: "Delete data that has expired and versions beyond what is kept",
    details:
      "Works on the whole datastore: waits for runs that hold a model, and runs that come meanwhile wait for it.",
    flags: { "dry-run": dryRun, force, stream },
    locks: true,
    examples: ["fen data gc --dry-run", "fen data gc --force"],
    load: () => import("../commands/data/gc.ts"),
  },
  {
    path: ["datastore", "status"],
    summary: "Where the datastore is and whether it works",
    load: () => import("../commands/datastore/status.ts"),
  },
  {
    path: ["datastore", "setup", "s3"],
    summary: "Use a bucket in S3, or in what speaks S3, as the datastore",
    details:
      "The store is tried first: one whose conditional writes don't work is refused. Credentials come from the environment, a profile, SSO or a role, as for other AWS tools. What the datastore has now is copied there and stays where it is; begin again if it was ended in the middle.",
    flags: {
      bucket: { type: "text", value: "NAME", summary: "The bucket" },
      prefix: { type: "text", value: "PATH", summary: "Below which everything lies (default: the whole bucket)" },
      region: { type: "text", value: "NAME", summary: "Default: AWS_REGION, or the profile's" },
      endpoint: { type: "text", value: "URL", summary: "Another server than AWS (also AWS_ENDPOINT_URL_S3)" },
      "force-path-style": { type: "switch", summary: "The bucket in the path, not in the name of the host" },
      "allow-http": { type: "switch", summary: "Plain http to another host than this one" },
      ...migration,
    },
    locks: true,
    examples: [
      "fen datastore setup s3 --bucket fleet --prefix team-a --region eu-central-1",
      "fen datastore setup s3 --bucket fleet --endpoint https://s3.example.net:9000",
    ],
    load: () => import("../commands/datastore/setup-s3.ts"),
  },
  {
    path: ["datastore", "setup", "filesystem"],
    summary: "Use a folder as the datastore",
    details:
      "Relative to the repository, or absolute. What the datastore has now is copied there and stays where it is; begin again if it was ended in the middle.",
    flags: { path: { type: "text", value: "DIR", complete: "folder", summary: "The folder" }, ...migration },
    locks: true,
    examples: ["fen datastore setup filesystem --path /srv/fleet-data"],
    load: () => import("../commands/datastore/setup-filesystem.ts"),
  },
  {
    path: ["datastore", "sync"],
    summary: "Finish what could not reach the store, fill the cache, write what older programs read",
    details:
      "For datastores in S3. Commands don't need it: what they commit is there for all at once, and they fetch what they read.",
    flags: {
      pull: { type: "switch", summary: "Only bring the content of all versions into the cache of this machine" },
      push: {
        type: "switch",
        summary: "Only commit what runs left here, and write metadata.yaml and the index of older programs",
      },
    },
    locks: true,
    examples: ["fen datastore sync", "fen datastore sync --push"],
    load: () => import("../commands/datastore/sync.ts"),
  },
  {
    path: ["datastore", "lock", "status"],
    summary: "Who holds and who waits for which lock",
    flags: { watch: { type: "switch", short: "w", summary: "Follow live; with --json a line for each change" } },
    examples: ["fen datastore lock status", "fen datastore lock status --watch", "fen datastore lock status --json"],
    load: () => import("../commands/datastore/lock-status.ts"),
  },
  {
    path: ["datastore", "lock", "release"],
    summary: "Break a lock (the last resort)",
    details:
      "The former holder is told and can't commit. A holder that is alive is only released when its nonce is named; fen datastore lock status --json shows it.",
    flags: {
      force: { type: "switch", summary: "Needed: this takes a lock from somebody" },
      model: {
        type: "text",
        value: "MODEL",
        complete: "model",
        summary: "The model's lock (name, id or type/id); default: the datastore's",
      },
      nonce: { type: "text", value: "NONCE", summary: "The holder that is meant (needed where it is alive)" },
    },
    examples: ["fen datastore lock release --force --model web-01"],
    load: () => import("../commands/datastore/lock-release.ts"),
  },
];
