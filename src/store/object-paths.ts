/** What everything that keeps files as objects has in common. */
import { FenError } from "../kernel/errors.ts";
import type { ObjectStore } from "./objects.ts";

/** Removes the object of this path or, where there is none, everything below it; true where something was there. */
export async function removeObjects(objects: ObjectStore, path: string): Promise<boolean> {
  const doomed: string[] = (await objects.head(path)) === undefined ? [] : [path];
  if (doomed.length === 0) for await (const found of objects.list(path)) doomed.push(found.path);
  await objects.removeAll(doomed);
  return doomed.length > 0;
}

export function missingObject(objects: ObjectStore, path: string): FenError {
  const place = objects.locate(path);
  return new FenError("store_unavailable", `There is no such object: ${place}`, { facts: { path: place } });
}
