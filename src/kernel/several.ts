/** Waits for all of them, also where one fails; then the first failure is thrown. */
export async function all<T extends readonly unknown[]>(
  works: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(works);
  return Promise.all(works);
}

/** Works on many things, so many at a time. The first failure ends it: what has begun is waited for, nothing more is begun. */
export async function several<T>(
  items: Iterable<T> | AsyncIterable<T>,
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  const running = new Set<Promise<void>>();
  try {
    for await (const item of items) {
      const one: Promise<void> = work(item)
        .catch((error: unknown) => void failures.push(error))
        .finally(() => running.delete(one));
      running.add(one);
      if (running.size >= atOnce) await Promise.race(running);
      if (failures.length > 0) break;
    }
  } catch (error) {
    failures.push(error); // of the items themselves
  }
  await Promise.all(running);
  if (failures.length > 0) throw failures[0];
}
