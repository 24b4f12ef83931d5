/** The fields that have a value: what `exactOptionalPropertyTypes` asks of objects that are built from what may be missing. */
export function present<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  // Only fields without a value are taken out, which is what the type says.
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}
