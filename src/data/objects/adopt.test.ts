import { expect, test } from "vitest";
import { MemoryObjects } from "../../store/drivers/memory/objects.ts";
import { adopted, modelsIn } from "./adopt.ts";
import { numbersOf } from "./manifest.ts";

const id = "a0000000-0000-4000-a000-000000000001";

async function objectsWith(paths: readonly string[]): Promise<MemoryObjects> {
  const objects = new MemoryObjects();
  for (const path of paths) await objects.put(path, Buffer.from("?"));
  return objects;
}

test("numbers are in the order of numbers, as whoever takes the last for the latest needs them", async () => {
  const objects = await objectsWith([10, 9, 2].map((number) => `data/a/b/${id}/result/${number}/metadata.yaml`));
  const found = await adopted(objects, { type: "a/b", id });
  expect(found.get("result")?.entries).toEqual([{ number: 2 }, { number: 9 }, { number: 10 }]);
  expect(numbersOf(found, "result").at(-1)).toBe(10);
});

test("models are found in types of one segment and of several, and a folder that is none is passed over", async () => {
  const types = ["a", "@acme/net/switch"];
  const paths = types.map((type) => `data/${type}/${id}/result/1/metadata.yaml`);
  const objects = await objectsWith([...paths, "data/x/y/z", "outputs/a/b"]);
  const found = await modelsIn(objects);
  expect(found.map(({ type }) => type).sort()).toEqual(types.sort());
  expect(found.every((model) => model.id === id)).toBe(true);
});
