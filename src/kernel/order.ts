/** The one order of names: by code point, the same on every host and in every locale (UTF-8 bytes sort like code points). */
export function compareCodePoints(a: string, b: string): number {
  if (a === b) return 0;
  const byBytes = Buffer.compare(Buffer.from(a), Buffer.from(b));
  if (byBytes !== 0) return byBytes;
  return a < b ? -1 : 1; // differ only in lone surrogates, which UTF-8 can't tell apart
}
