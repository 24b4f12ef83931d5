/** `npm run test:quick` is for while one writes: it leaves out what takes seconds, and tries random things more rarely. */
export const isQuick = process.env["FEN_QUICK"] === "1";

/** So many tries of something random; in quick tests one in `quickly` of them. */
export function tries(usually: number, quickly = 20): number {
  return isQuick ? Math.ceil(usually / quickly) : usually;
}
