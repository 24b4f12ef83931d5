/** Calls of the C library, through koffi, of which the prebuilt libraries for Linux are installed where they fit. */
import { loadNative, nativePath } from "./native.ts";

interface CFunction {
  (...values: readonly unknown[]): number;
  /** In another thread; the last value is called with the result. */
  async(...values: readonly unknown[]): void;
}

export class CLibrary<Name extends string> {
  readonly functions: Readonly<Record<Name, CFunction>>;
  readonly #koffi: Koffi;

  /** `declarations`: as C has them. Throws where the system or the package has no such library. */
  constructor(declarations: Readonly<Record<Name, string>>) {
    this.#koffi = loadNative(koffiPath()) as Koffi; // as its package declares it
    const library = this.#koffi.load(null);
    const bound = Object.entries<string>(declarations).map(([name, text]) => [name, library.func(text)]);
    this.functions = Object.fromEntries(bound) as Record<Name, CFunction>; // the same names
  }

  /** Of the last call in this thread. */
  errno(): number {
    return this.#koffi.errno();
  }
}

/** Throws where it isn't installed. */
export function koffiPath(): string {
  return nativePath(`@koromix/koffi-${process.platform}-${process.arch}`, `linux_${process.arch}/koffi.node`);
}

interface Koffi {
  load(path: null): { func(declaration: string): CFunction };
  errno(): number;
}

/** Resolves with the result of a call that may take long, made in another thread. */
export function callInThread(call: CFunction, ...values: readonly unknown[]): Promise<number> {
  return new Promise((resolve, reject) =>
    call.async(...values, (error: unknown, value: number) => (error ? reject(error) : resolve(value))),
  );
}
