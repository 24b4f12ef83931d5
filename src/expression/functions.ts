/** The functions that fen adds to CEL. Each has a signature as the library wants it; docs/expressions.md describes them all. */
import { CallError } from "./call-error.ts";
import { variedName } from "./dependencies.ts";
import { formatText } from "./format.ts";
import { mathFunctions } from "./math.ts";
import type { Session } from "./session.ts";
import type { DataSource } from "./sources.ts";
import { timeAsText, toPlain } from "./values.ts";

/** `data.latest(...)` is a method of the namespace `data`. */
class DataNamespace {
  readonly namespace = "data";
}
class FileNamespace {
  readonly namespace = "file";
}
class VaultNamespace {
  readonly namespace = "vault";
}
class JsonNamespace {
  readonly namespace = "json";
}
class Base64Namespace {
  readonly namespace = "base64";
}
class MathNamespace {
  readonly namespace = "math";
}
class StringsNamespace {
  readonly namespace = "strings";
}

export const namespaceTypes = {
  DataNamespace,
  FileNamespace,
  VaultNamespace,
  JsonNamespace,
  Base64Namespace,
  MathNamespace,
  StringsNamespace,
};

/** The namespaces as variables. */
export const namespaceValues = {
  data: new DataNamespace(),
  file: new FileNamespace(),
  vault: new VaultNamespace(),
  json: new JsonNamespace(),
  base64: new Base64Namespace(),
  math: new MathNamespace(),
  strings: new StringsNamespace(),
};

export interface OwnFunction {
  /** As documented. */
  readonly name: string;
  readonly signature: string;
  readonly call: (session: Session, args: readonly unknown[]) => unknown;
}

const timestamp = "google.protobuf.Timestamp";

export function ownFunctions(): OwnFunction[] {
  return [...readers(), ...texts(), ...coders(), ...conversions(), ...numbers()];
}

function numbers(): OwnFunction[] {
  return Object.entries(mathFunctions).flatMap(([name, { takes, call }]) =>
    takes.map((count) => ({
      name: `math.${name}`,
      signature: `MathNamespace.${name}(${Array.from({ length: count }, () => "dyn").join(", ")}): dyn`,
      call: (_: Session, [, ...args]: readonly unknown[]) => call(args),
    })),
  );
}

/** Those that the library lacks. */
function conversions(): OwnFunction[] {
  const convert = (signature: string, call: (value: unknown) => unknown): OwnFunction => ({
    name: signature.replace(/\(.*/, ""),
    signature,
    call: (_, [value]) => call(value),
  });
  const duration = "google.protobuf.Duration";
  return [
    convert("int(uint): int", (value) => signed(value)),
    convert(`int(${timestamp}): int`, (time) => BigInt(Math.floor(Number(time) / 1000))),
    convert(`timestamp(${timestamp}): ${timestamp}`, (time) => time),
    convert(`duration(${duration}): ${duration}`, (one) => one),
    convert(`string(${timestamp}): string`, (time) => (time instanceof Date ? timeAsText(time) : "")),
    convert(`string(${duration}): string`, String),
  ];
}

function signed(value: unknown): bigint {
  const number = BigInt(String(value));
  if (number >= 2n ** 63n) throw new CallError("int: the number is too large");
  return number;
}

function readers(): OwnFunction[] {
  const read = (
    signature: string,
    ask: (data: DataSource, args: readonly unknown[]) => Promise<unknown>,
    namespace: "Data" | "File" = "Data",
  ): OwnFunction => ({
    name: `${namespace.toLowerCase()}.${signature.replace(/\(.*/, "")}`,
    signature: `${namespace}Namespace.${signature}: dyn`,
    call: (session, [, ...args]) => {
      session.isVolatile = true;
      const { data } = session.scope;
      if (data === undefined) throw new CallError("data can't be read here");
      return session.ask(JSON.stringify([signature, ...args.map(toPlain)]), () => ask(data, args));
    },
  });
  return [
    read("latest(string, string)", async (data, [model, name]) => (await data.latest(text(model), text(name))) ?? null),
    read(
      "latest(string, string, list)",
      async (data, [model, name, vary]) => (await data.latest(text(model), varied(name, vary))) ?? null,
    ),
    read(
      "version(string, string, dyn)",
      async (data, [model, name, number]) => (await data.version(text(model), text(name), whole(number))) ?? null,
    ),
    read(
      "version(string, string, list, dyn)",
      async (data, [model, name, vary, number]) =>
        (await data.version(text(model), varied(name, vary), whole(number))) ?? null,
    ),
    read("listVersions(string, string)", (data, [model, name]) => data.listVersions(text(model), text(name))),
    read("listVersions(string, string, list)", (data, [model, name, vary]) =>
      data.listVersions(text(model), varied(name, vary)),
    ),
    read("findByTag(string, string)", (data, [key, value]) => data.findByTag(text(key), text(value))),
    read("findBySpec(string, string)", (data, [model, spec]) => data.findBySpec(text(model), text(spec))),
    read(
      "contents(string, string)",
      async (data, [model, spec]) => (await data.contents(text(model), text(spec))) ?? null,
      "File",
    ),
    {
      name: "vault.get",
      signature: "VaultNamespace.get(string, string): dyn",
      call: () => {
        throw new CallError("secrets of a vault can't be read yet");
      },
    },
    { name: "now", signature: `now(): ${timestamp}`, call: (session) => session.time },
  ];
}

function texts(): OwnFunction[] {
  const on = (signature: string, call: (args: readonly unknown[]) => unknown): OwnFunction => ({
    name: signature.replace(/\(.*/, ""),
    signature,
    call: (_, args) => call(args),
  });
  return [
    on("string.replace(string, string): string", ([at, from, to]) => text(at).replaceAll(text(from), () => text(to))),
    on("string.replace(string, string, dyn): string", ([at, from, to, most]) =>
      replaceSome(text(at), text(from), { to: text(to), most: whole(most) }),
    ),
    on("string.format(list): string", ([pattern, values]) => formatText(text(pattern), list(values))),
    on("string.charAt(dyn): string", ([at, index]) => charAt(text(at), whole(index))),
    {
      name: "strings.quote",
      signature: "StringsNamespace.quote(string): string",
      call: (_, [, value]) => quote(text(value)),
    },
  ];
}

function coders(): OwnFunction[] {
  return [
    {
      name: "json.parse",
      signature: "JsonNamespace.parse(string): dyn",
      call: (_, [, source]) => {
        try {
          const value: unknown = JSON.parse(text(source));
          return value;
        } catch {
          throw new CallError("json.parse: the text isn't JSON");
        }
      },
    },
    {
      name: "json.stringify",
      signature: "JsonNamespace.stringify(dyn): string",
      call: (_, [, value]) => JSON.stringify(toPlain(value)),
    },
    {
      name: "base64.encode",
      signature: "Base64Namespace.encode(dyn): string",
      call: (_, [, value]) => {
        if (typeof value === "string") return Buffer.from(value).toString("base64");
        if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
        throw new CallError("base64.encode takes text or bytes");
      },
    },
    {
      name: "base64.decode",
      signature: "Base64Namespace.decode(string): dyn",
      call: (_, [, source]) => decodeBase64(text(source)),
    },
  ];
}

/** Characters, not halves of them. */
function charAt(value: string, index: number): string {
  const characters = [...value];
  if (index >= 0 && index <= characters.length) return characters[index] ?? "";
  throw new CallError(`charAt: the text has ${characters.length} characters, there is no ${index}`);
}

const escapes: Readonly<Record<string, string>> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  "\\": "\\\\",
  '"': '\\"',
};

function quote(value: string): string {
  return `"${[...value].map((character) => escapes[character] ?? character).join("")}"`;
}

/** Text where the bytes are UTF-8, else bytes. */
function decodeBase64(source: string): string | Uint8Array {
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(source)) throw new CallError("base64.decode: the text isn't base64");
  const bytes = new Uint8Array(Buffer.from(source, "base64"));
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return bytes;
  }
}

function replaceSome(at: string, from: string, { to, most }: { readonly to: string; readonly most: number }): string {
  let left = most < 0 ? Number.POSITIVE_INFINITY : most;
  return at.replaceAll(from, (found) => (left-- > 0 ? to : found));
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  throw new CallError("text is needed");
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function whole(value: unknown): number {
  const number = typeof value === "bigint" ? Number(value) : value;
  if (typeof number === "number" && Number.isInteger(number)) return number;
  throw new CallError("a whole number is needed");
}

function varied(name: unknown, vary: unknown): string {
  const full = variedName(text(name), vary);
  if (full !== undefined) return full;
  throw new CallError("vary is a list of texts or numbers");
}
