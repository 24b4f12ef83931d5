import { describe, expect, test } from "vitest";
import { calledAs, shellQuote } from "./called.ts";

describe("how the program was called", () => {
  test.each([
    {
      what: "by npx",
      path: "/c/node_modules/.bin/fen",
      env: { npm_command: "exec", npm_lifecycle_script: "'fen' 'demo'" },
      called: "npx fen",
    },
    {
      what: "inside of something else that npx runs",
      path: "/bin/fen",
      env: { npm_command: "exec", npm_lifecycle_script: "vitest run", PATH: "/usr/bin:/bin" },
      called: "fen",
    },
    { what: "by its name", path: "/usr/local/bin/fen", env: { PATH: "/usr/local/bin:/bin" }, called: "fen" },
    { what: "by a link of another name", path: "/bin/swamp", env: { PATH: "/bin" }, called: "swamp" },
    {
      what: "by a path that no name leads to",
      path: "/opt/my tools/fen",
      env: { PATH: "/bin" },
      called: "'/opt/my tools/fen'",
    },
    { what: "through node", path: "/c/dist/fen.cjs", env: { PATH: "/bin" }, called: "node /c/dist/fen.cjs" },
  ])("$what", ({ path, env, called }) => {
    expect(calledAs({ path, env })).toBe(called);
  });
});

test("a quoted word is what it was", () => {
  expect(shellQuote("it's $HOME")).toBe(String.raw`'it'\''s $HOME'`);
  expect(shellQuote("/tmp/a-b_c.d")).toBe("/tmp/a-b_c.d");
});
