/** Buckets of the older program: versions lie where they lie in a folder, and there is no head. What is there is found by lists, and named by the first commit. */
import type { ObjectStore } from "../../store/objects.ts";
import { isDataName, modelFolder, type ModelRef, versionNumber } from "../layout.ts";
import type { Entry, Manifest } from "./manifest.ts";

/** One list of the model's own objects: the numbers are in the keys, metadata is read when it is asked for. */
export async function adopted(objects: ObjectStore, model: ModelRef): Promise<Manifest> {
  const found = new Map<string, Entry[]>();
  const start = `${modelFolder(model)}/`;
  for await (const { path } of objects.list(modelFolder(model))) {
    const [name = "", digits = "", file, ...more] = path.slice(start.length).split("/");
    const number = versionNumber(digits);
    // Anybody may have put anything there.
    if (number === undefined || !isDataName(name) || file !== "metadata.yaml" || more.length > 0) continue;
    const entries = found.get(name) ?? [];
    entries.push({ number });
    found.set(name, entries);
  }
  return new Map(
    [...found].map(([name, entries]) => [name, { entries: entries.sort((a, b) => a.number - b.number), pages: [] }]),
  );
}

const deepestType = 8;

/** Models that have objects: as many lists as there are folders above them. */
export async function modelsIn(objects: ObjectStore): Promise<readonly ModelRef[]> {
  const found: ModelRef[] = [];
  const walk = async (segments: readonly string[]): Promise<void> => {
    for (const name of (await objects.entries(["data", ...segments].join("/"))).folders) {
      if (/^[0-9a-f-]{36}$/i.test(name)) found.push({ type: segments.join("/"), id: name });
      else if (segments.length < deepestType) await walk([...segments, name]);
    }
  };
  await walk([]);
  return found;
}
