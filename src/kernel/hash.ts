/**
 * SHA-256. Node's own library takes 3 to 6 ms to load, longer than everything else that most commands do with it: so what is short (names, definitions, most outputs) is
 * hashed here, and the library is loaded when there is more.
 */
import type { Hash } from "node:crypto";

/** Of more bytes than this, loading the library is the quicker way. */
const longBytes = 4096;

/** For content, piece by piece. */
export class ContentHash {
  /** All of it, as long as it is short. */
  #short: Buffer = Buffer.alloc(0);
  #hash: Hash | undefined;

  update(piece: Uint8Array | string): void {
    const bytes = typeof piece === "string" ? Buffer.from(piece) : piece;
    if (this.#hash === undefined && this.#short.length + bytes.length <= longBytes) {
      this.#short = Buffer.concat([this.#short, bytes]);
      return;
    }
    this.#hash ??= process.getBuiltinModule("node:crypto").createHash("sha256").update(this.#short);
    this.#hash.update(bytes);
  }

  /** In hexadecimal; ends it. */
  digest(): string {
    return this.#hash?.digest("hex") ?? Buffer.from(sha256(this.#short)).toString("hex");
  }
}

/** In hexadecimal, of a text in UTF-8. */
export function sha256Hex(text: string): string {
  const hash = new ContentHash();
  hash.update(text);
  return hash.digest();
}

const blockBytes = 64;
/** The length in bits, at the end of the last block. */
const lengthBytes = 8;

// The fractional parts of the cube roots of the first 64 primes, and of the square roots of the first 8 (FIPS 180-4).
const roundConstants = [
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
  0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
  0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
  0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
  0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
  0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
  0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
  0xc67178f2,
];
const initialState = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/** The 32 bytes, of what is short: bytes, or a text in UTF-8. */
export function sha256(content: string | Uint8Array): Uint8Array {
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  const blocks = Math.ceil((bytes.length + 1 + lengthBytes) / blockBytes);
  const padded = Buffer.alloc(blocks * blockBytes);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  padded.writeUIntBE(bytes.length * 8, padded.length - 6, 6);
  const state = Int32Array.from(initialState);
  const words = new Int32Array(blockBytes);
  for (let at = 0; at < padded.length; at += blockBytes) {
    for (let i = 0; i < 16; i++) words[i] = padded.readInt32BE(at + i * 4);
    addBlock(state, words);
  }
  const digest = Buffer.alloc(32);
  for (const [i, word] of state.entries()) digest.writeInt32BE(word, i * 4);
  return digest;
}

/** `words`: the block's 16, with room for those that are made of them. */
function addBlock(state: Int32Array, words: Int32Array): void {
  const word = (i: number) => words[i] ?? 0;
  for (let i = 16; i < 64; i++) {
    const x = word(i - 15);
    const y = word(i - 2);
    const s0 = turn(x, 7) ^ turn(x, 18) ^ (x >>> 3);
    const s1 = turn(y, 17) ^ turn(y, 19) ^ (y >>> 10);
    words[i] = word(i - 16) + s0 + word(i - 7) + s1;
  }
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state;
  for (let i = 0; i < 64; i++) {
    const s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
    const one = (h + s1 + ((e & f) ^ (~e & g)) + (roundConstants[i] ?? 0) + word(i)) | 0;
    const s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
    const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + one) | 0;
    d = c;
    c = b;
    b = a;
    a = (one + two) | 0;
  }
  for (const [i, value] of [a, b, c, d, e, f, g, h].entries()) state[i] = (state[i] ?? 0) + value;
}

/** Rotates to the right. */
function turn(word: number, by: number): number {
  return (word >>> by) | (word << (32 - by));
}
