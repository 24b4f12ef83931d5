/** `math.*`, as the CEL extension for numbers describes it. */
import { CallError } from "./call-error.ts";

/** The functions by name, with the numbers of arguments that they take. */
export const mathFunctions: Readonly<
  Record<string, { readonly takes: readonly number[]; readonly call: (args: readonly unknown[]) => unknown }>
> = {
  greatest: { takes: [1, 2, 3, 4, 5], call: (args) => extreme("greatest", args, (a, b) => a > b) },
  least: { takes: [1, 2, 3, 4, 5], call: (args) => extreme("least", args, (a, b) => a < b) },
  ceil: rounding("ceil", Math.ceil),
  floor: rounding("floor", Math.floor),
  trunc: rounding("trunc", Math.trunc),
  // Halves go away from zero.
  round: rounding("round", (x) => Math.sign(x) * Math.round(Math.abs(x))),
  sqrt: { takes: [1], call: ([x]) => Math.sqrt(Number(numberOf("sqrt", x))) },
  abs: { takes: [1], call: ([x]) => absolute(x) },
  sign: { takes: [1], call: ([x]) => signOf(x) },
  isNaN: { takes: [1], call: ([x]) => Number.isNaN(numberOf("isNaN", x)) },
  isInf: { takes: [1], call: ([x]) => Math.abs(Number(numberOf("isInf", x))) === Number.POSITIVE_INFINITY },
  isFinite: { takes: [1], call: ([x]) => Number.isFinite(Number(numberOf("isFinite", x))) },
  bitAnd: bits("bitAnd", (a, b) => a & b),
  bitOr: bits("bitOr", (a, b) => a | b),
  bitXor: bits("bitXor", (a, b) => a ^ b),
  bitNot: { takes: [1], call: ([x]) => like(x, ~wholeOf("bitNot", x)) },
  bitShiftLeft: shift("bitShiftLeft", (a, by) => a << by),
  // The bits come from the left as in an unsigned number.
  bitShiftRight: shift("bitShiftRight", (a, by) => BigInt.asUintN(64, a) >> by),
};

function rounding(name: string, round: (x: number) => number) {
  return {
    takes: [1],
    call: ([x]: readonly unknown[]) => {
      const number = numberOf(name, x);
      return typeof number === "bigint" ? x : round(number);
    },
  };
}

function bits(name: string, combine: (a: bigint, b: bigint) => bigint) {
  return {
    takes: [2],
    call: ([a, b]: readonly unknown[]) => like(a, combine(wholeOf(name, a), wholeOf(name, b))),
  };
}

function shift(name: string, move: (a: bigint, by: bigint) => bigint) {
  return {
    takes: [2],
    call: ([a, by]: readonly unknown[]) => {
      const places = wholeOf(name, by);
      if (places < 0n) throw new CallError(`math.${name}: can't shift by ${places} bits`);
      return like(a, places > 63n ? 0n : move(wholeOf(name, a), places));
    },
  };
}

function extreme(
  name: string,
  args: readonly unknown[],
  isBetter: (a: number | bigint, b: number | bigint) => boolean,
): unknown {
  const [first] = args;
  const values: readonly unknown[] = args.length === 1 && Array.isArray(first) ? first : args;
  if (values.length === 0) throw new CallError(`math.${name}: an empty list has none`);
  return values.reduce((best, one) =>
    isBetter(numberOf(name, one), numberOf(name, best)) ? one : (numberOf(name, best), best),
  );
}

function absolute(x: unknown): unknown {
  const number = numberOf("abs", x);
  if (typeof number === "number") return Math.abs(number);
  if (number === -(2n ** 63n)) throw new CallError("math.abs: the number is too large");
  return number < 0n ? -number : x;
}

function signOf(x: unknown): unknown {
  const number = numberOf("sign", x);
  return typeof number === "number" ? Math.sign(number) : like(x, number === 0n ? 0n : number < 0n ? -1n : 1n);
}

function wholeOf(name: string, value: unknown): bigint {
  const number = numberOf(name, value);
  if (typeof number === "bigint") return number;
  if (Number.isInteger(number)) return BigInt(number);
  throw new CallError(`math.${name} takes whole numbers`);
}

/** Unsigned numbers are objects that hold one. */
function numberOf(name: string, value: unknown): number | bigint {
  const inner: unknown = typeof value === "object" && value !== null ? value.valueOf() : value;
  if (typeof inner === "number" || typeof inner === "bigint") return inner;
  throw new CallError(`math.${name} takes numbers`);
}

/** 64 bits, signed or not as the model is. */
function like(model: unknown, bigint: bigint): bigint {
  return typeof model === "object" ? BigInt.asUintN(64, bigint) : BigInt.asIntN(64, bigint);
}
