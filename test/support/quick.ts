/** `npm run test:quick` is for while one writes: it leaves out what takes seconds, and tries random things more rarely. */
export const isQuick = process.env["FEN_QUICK"] === "1";

/** So many tries of something random. */
export function tries(usually: number): number {
  return isQuick ? Math.ceil(usually / 20) : usually;
}
