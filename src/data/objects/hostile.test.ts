/** What others may have put into a bucket: keys that no version, lock or record of ours has. They are passed over, and stop nobody. */
import { beforeEach, expect, test } from "vitest";
import { freshWorld, type ObjectWorld, web, webFolder } from "../../../test/support/object-world.ts";
import { DataVersions } from "../versions.ts";

let world: ObjectWorld;
beforeEach(() => {
  world = freshWorld();
});

const put = (path: string, text = "?") => world.objects.put(path, Buffer.from(text));

test.each([
  ["a number that no other follows", "result/99999999999999999999/metadata.yaml"],
  ["the largest number that can be told from the next", "result/9007199254740991/metadata.yaml"],
  ["a number that begins with 0", "result/007/metadata.yaml"],
  ["a name that begins with a dot", ".hidden/1/metadata.yaml"],
  ["a name that is latest", "latest/1/metadata.yaml"],
  ["a name of 300 letters", `${"n".repeat(300)}/1/metadata.yaml`],
  ["a name with a backslash", "a\\b/1/metadata.yaml"],
])("%s is no version, before the first commit and after it", async (_what, path) => {
  await world.older("result", 1);
  await put(`${webFolder}/${path}`);
  const one = world.machine("one");
  const all = async () => {
    const { versions } = world.machine("reader");
    const data = new DataVersions(versions);
    const found: unknown[] = [];
    for (const name of await data.names(web))
      for (const number of await data.numbers(web, name))
        found.push([(await data.version(web, name, number)).name, number]);
    return found;
  };
  expect(await all()).toEqual([["result", 1]]);
  await one.run("new", "result");
  expect(await all()).toEqual([
    ["result", 1],
    ["result", 2],
  ]);
  expect(await world.machine("two").sync.publish()).toMatchObject({ errors: [] });
  expect(await world.machine("two").sync.pull()).toMatchObject({ errors: [] });
  await one.versions.tidy();
  expect(await all()).toHaveLength(2);
});

test.each(["%zz", "%E0%A4%A", "a%2Fb", "command%2Fshell%2F..", "x/y/z"])(
  "a lock's record called %s is no model's",
  async (name) => {
    const one = world.machine("one");
    await one.run("1", "result");
    world.locks.objects.set(`locks/${name}`, { body: "{}", etag: "e" });
    world.locks.objects.set(`claims/${name}/n`, { body: "{}", etag: "e" });
    const two = world.machine("two");
    expect(await two.versions.models()).toEqual([web]);
    expect(await two.sync.publish()).toMatchObject({ errors: [] });
    await two.versions.tidy();
    expect((await two.datastore.locks.inspect("all")).held.filter(({ state }) => state === "held")).toEqual([]);
    await two.run("2", "result");
    expect(await two.versions.numbers(web, "result")).toEqual([1, 2]);
  },
);
