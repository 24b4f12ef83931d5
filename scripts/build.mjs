// Builds the command line into dist/: CommonJS chunks that load when they are needed, a launcher, and V8's code cache for them.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { isolatedDeclaration } from "rolldown/experimental";
import { storeStub } from "./store-stub.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

const options = {
  platform: "node",
  external: [/^fs-native-extensions/],
  logLevel: "warn",
  transform: {
    define: {
      FEN_VERSION: JSON.stringify(version),
      FEN_TIMELINE_PAGE: JSON.stringify(timelinePage()),
      // What the SDK says of future versions of itself is nothing for our stderr.
      "process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED": JSON.stringify("true"),
    },
    target: "node20.18",
  },
};

/**
 * What is needed at the same time comes in one chunk: every command needs the first; a command on models the second, before it waits for its lock; what a
 * run needs when it has the lock, and what few commands need, comes later or never. The rest is left to the bundler.
 */
const chunks = [
  [
    "start",
    [
      "cli/(main|parse|command|exit-codes|output|console)\\.",
      "cli/catalog",
      "cli/render/(columns|events|table)\\.",
      "kernel/(children|errors|error-codes|machine|random|duration|suggest)\\.",
      "store/(contract|blocked-by)\\.",
    ],
  ],
  [
    "run",
    [
      "app/(method-run|settle|rehearsal)\\.",
      "data/(staging|spool|run-log|commit|brought|leftovers)\\.",
      "model/types/command-shell/(capture|lines)\\.",
      "kernel/process",
      "store/drivers/filesystem/(inherit|inspect)\\.",
    ],
  ],
  [
    "models",
    [
      "app/(run-method|workspace|prepare-method|inputs|expression-sources|expression-data|model-index)\\.",
      "data/(folders|layout|metadata|outputs|versions)\\.",
      "expression/(compile|dependencies|inputs-schema|resolve|schema|template)\\.",
      "kernel/",
      "lock/[^/]+$",
      "model/",
      "repo/",
      "store/(drivers/filesystem/|in-order\\.)",
      "/helpers/esm/usingCtx", // what `using` is compiled to
    ],
  ],
  ["expressions", ["expression/"]],
  ["workflows", ["workflow/"]],
  ["yaml", ["/node_modules/js-yaml/"]],
].map(([name, paths], index) => ({
  name,
  test: new RegExp(paths.map((path) => (path.startsWith("/") ? path : `/src/${path}`)).join("|")),
  priority: 10 - index,
  includeDependenciesRecursively: false,
}));

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
await buildLibrary();
const bundle = await rolldown({
  ...options,
  input: { main: join(root, "src/cli/main.ts") },
  preserveEntrySignatures: "allow-extension",
});
const { output } = await bundle.write({
  dir: dist,
  format: "cjs",
  entryFileNames: "[name]-[hash].cjs",
  chunkFileNames: "[name]-[hash].cjs",
  comments: false,
  exports: "named",
  codeSplitting: { groups: chunks },
});
await bundle.close();
const entry = output.find((chunk) => chunk.type === "chunk" && chunk.isEntry).fileName;

const chunksWritten = output.filter(({ type }) => type === "chunk");
for (const chunk of chunksWritten) checkTaken(chunk);
for (const { fileName } of chunksWritten) wrap(join(dist, fileName));

const launcher = readFileSync(join(root, "src/cli/launcher.cjs"), "utf8").replace("__ENTRY__", entry);
writeFileSync(join(dist, "fen.cjs"), launcher);
chmodSync(join(dist, "fen.cjs"), 0o755);
linkBin();
await writeCodeCache();

/** The page of a run's timeline, without its data. */
function timelinePage() {
  const read = (name) => readFileSync(join(root, "src/cli/render/timeline-page", name), "utf8");
  return read("page.html").replace("__SCRIPT__", () => read("page.js"));
}

/** What a chunk takes from one that it loads later is there. (The bundler has been wrong: it took from a CommonJS package what its chunk didn't give.) */
function checkTaken({ fileName, code }) {
  for (const [, file, taken] of code.matchAll(/require\("\.\/([^"]+)"\)\)\.then\(\((?:n|m)\) => ([^;]*)/g)) {
    const { exports = [] } = chunksWritten.find((chunk) => chunk.fileName === file) ?? {};
    for (const [, name] of taken.matchAll(/\bn\.(\w+)/g))
      if (!exports.includes(name))
        throw new Error(`${fileName}: takes ${name} from ${file}, which gives no such thing`);
  }
}

/**
 * Makes a chunk what the launcher loads: one function, in ASCII (V8 keeps such a text in half the memory). Code that the code cache holds knows no `import()`:
 * where a library loads a built-in module so, it gets the module from the process.
 */
function wrap(path) {
  const code = readFileSync(path, "utf8").replaceAll(
    /\bimport\((["'`])(node:[\w/]+)\1\)/g,
    (_, quote, name) => `Promise.resolve(process.getBuiltinModule("${name}"))`,
  );
  if (/\bimport\(/.test(code)) throw new Error(`${path}: import() can't be used in a chunk`);
  if (/String\.raw`[^`]*[^\0-\x7f`]/.test(code)) throw new Error(`${path}: escapes would change what String.raw gives`);
  const ascii = lazily(code).replaceAll(
    /[^\0-\x7f]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  writeFileSync(path, `(function (exports, require, module, __filename, __dirname) {${ascii}\n})`);
}

/** What a chunk takes from another one is loaded when it is first used. (No module of ours does anything when it is loaded, so the order is all the same.) */
function lazily(code) {
  const loads = new Map();
  const head = code.replaceAll(
    /^(?:const|let) (require_\w+|node_\w+) = (require\("(?:\.\/|node:)[^"]+"\));$/gm,
    (_, name, load) => {
      loads.set(name, load);
      return `let ${name};`;
    },
  );
  return [...loads].reduce(
    (text, [name, load]) => text.replaceAll(new RegExp(`\\b${name}\\.`, "g"), `(${name} ??= ${load}).`),
    head,
  );
}

/** `fen/lock`: one module, and its types in two files that import nothing else. */
async function buildLibrary() {
  const bundle = await rolldown({ ...options, input: { lock: join(root, "src/lock/index.ts") } });
  await bundle.write({ dir: dist, format: "esm", entryFileNames: "[name].mjs", comments: false });
  await bundle.close();
  for (const [source, file] of [
    ["index", "lock"],
    ["public", "lock-types"],
  ]) {
    const path = join(root, `src/lock/${source}.ts`);
    const { code, errors } = await isolatedDeclaration(path, readFileSync(path, "utf8"));
    if (errors.length > 0) throw new Error(`${path}: ${errors.map((error) => error.message).join("; ")}`);
    const text = `/// <reference lib="esnext.disposable" />\n${code.replaceAll("./public.ts", "./lock-types.mjs")}`;
    writeFileSync(join(dist, `${file}.d.mts`), text);
  }
}

/** `npx fen` in a clone finds this link. */
function linkBin() {
  const bin = join(root, "node_modules/.bin");
  mkdirSync(bin, { recursive: true });
  const link = join(bin, "fen");
  rmSync(link, { force: true });
  if (process.platform === "win32") copyFileSync(join(dist, "fen.cjs"), link);
  else symlinkSync("../../dist/fen.cjs", link);
}

/** A run that waits for the lock: what it does then is compiled too. */
function waitForAnother(path, run, options) {
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.replace("run: 'true'", "run: sleep 1").replace("run: true", "run: sleep 1"));
  const holder = spawn(process.execPath, [join(dist, "fen.cjs"), "model", "method", "run", "cache", "execute"], {
    ...options,
    stdio: "ignore",
  });
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
  run("model", "method", "run", "cache", "execute", "--json");
  holder.unref();
  writeFileSync(path, text);
}

/** One step, on the model `cache`. */
function workflowText() {
  return `id: 00000000-0000-4000-a000-000000000000
name: cache
version: 1
jobs:
  - name: all
    steps:
      - name: step
        task: { type: model_method, modelIdOrName: cache, methodName: execute }
`;
}

/**
 * Runs the usual commands, each leaving the compiled code of what it loaded (`launcher.cjs` says which have caches of their own). What others left there before
 * stays only as long as V8 doesn't throw it away, so the most used one comes last.
 */
async function writeCodeCache() {
  const scratch = mkdtempSync(join(tmpdir(), "fen-build-"));
  const env = { ...process.env, FEN_WRITE_CODE_CACHE: "1", SWAMP_REPO_DIR: "", SWAMP_DATASTORE: "" };
  const store = await storeStub();
  const endpoint = `http://127.0.0.1:${store.address().port}`;
  const s3 = { SWAMP_DATASTORE: "s3:code-cache", AWS_ENDPOINT_URL_S3: endpoint, AWS_REGION: "us-east-1" };
  const keys = { AWS_ACCESS_KEY_ID: "none", AWS_SECRET_ACCESS_KEY: "none", AWS_PROFILE: "", HOME: scratch };
  const runOnS3 = async (...args) => {
    const options = { cwd: scratch, env: { ...env, ...s3, ...keys }, stdio: ["ignore", "ignore", "inherit"] };
    const [status] = await once(spawn(process.execPath, [join(dist, "fen.cjs"), ...args], options), "exit");
    if (status !== 0) throw new Error(`fen ${args.join(" ")} in a datastore in S3: exit ${status}`);
  };
  const run = (...args) => {
    const result = spawnSync(process.execPath, [join(dist, "fen.cjs"), ...args], {
      cwd: scratch,
      env,
      encoding: "utf8",
    });
    if (result.status !== 0) throw new Error(`fen ${args.join(" ")}: ${result.stderr}`);
  };
  try {
    run("init");
    run("model", "create", "command/shell", "cache");
    const file = readdirSync(join(scratch, "models/command/shell"))[0];
    const path = join(scratch, "models/command/shell", file);
    writeFileSync(
      path,
      readFileSync(path, "utf8").replace(
        /^methods:[\s\S]*/m,
        "methods:\n  execute:\n    arguments:\n      run: 'true ${{ self.name }}'\n",
      ),
    );
    for (const command of [
      "help",
      "model search",
      "model get cache",
      "model validate",
      "model type describe command/shell",
      "completions bash",
    ])
      run(...command.split(" "));
    run("model", "method", "run", "cache", "execute");
    mkdirSync(join(scratch, "workflows"), { recursive: true });
    writeFileSync(join(scratch, "workflows/workflow-cache.yaml"), workflowText());
    run("workflow", "run", "cache");
    for (const command of [
      "data list cache",
      "data get cache log",
      "__complete -- model get c",
      "model output search",
      "datastore status",
      "datastore lock status",
      "version",
    ])
      run(...command.split(" "));
    await runOnS3("datastore", "sync", "--push");
    await runOnS3("model", "method", "run", "cache", "execute", "--quiet");
    writeFileSync(path, readFileSync(path, "utf8").replace("true ${{ self.name }}", "true"));
    waitForAnother(path, run, { cwd: scratch, env: { ...env, FEN_WRITE_CODE_CACHE: "0" } });
    run("model", "method", "run", "cache", "execute", "--json");
  } finally {
    store.close();
    rmSync(scratch, { recursive: true, force: true });
  }
}
