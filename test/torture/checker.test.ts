/** The checker on made-up logs: what is broken is found, what can't be known is let pass. */
import { describe, expect, test } from "vitest";
import { Checker } from "./checker.ts";
import { parseEvent } from "./events.ts";

/** "a ask m" = worker a asks for m exclusively, as acquisition "a"; "a2" is a second one of the same worker; "s" at the end = shared. */
function check(text: string): readonly string[] {
  const checker = new Checker();
  let at = 0;
  for (const line of text.split(";")) {
    const [id = "", name = "", resource = "-", ...more] = line.trim().split(" ");
    const token = more.find((word) => /^\d+$/.test(word)) ?? "-";
    const mode = more.includes("s") ? "shared" : "exclusive";
    checker.take(parseEvent(`${(at += 1000)} ${id.replace(/\d/g, "")} ${name} ${id} ${resource} ${mode} ${token}`));
  }
  return checker.finish().violations;
}

const done = (...ids: string[]) => ids.map((id) => `; ${id} leave m`).join("");

describe("broken logs", () => {
  test.each([
    ["two exclusive holders", `a enter m; b enter m${done("a", "b")}`, "overlap"],
    ["a shared beside an exclusive one", `a enter m; b enter m s${done("a", "b")}`, "overlap"],
    ["everything beside a model", "a enter m; b enter *; a leave m; b leave *", "overlap"],
    ["a model beside everything", "a enter *; b enter m; a leave *; b leave m", "overlap"],
    ["a token that falls", `a enter m 5; a leave m; b enter m 4; b leave m`, "token 4 after 5"],
    ["a token that stays", `a enter m 5; a leave m; b enter m 5; b leave m`, "token 5 after 5"],
    [
      "one overtaken",
      `a ask m; a queued m; b ask m; b queued m; b enter m; b leave m; a enter m; a leave m`,
      "overtook a",
    ],
    [
      "one of everything overtaken",
      "a ask *; a queued *; b ask m; b enter m; b leave m; a enter *; a leave *",
      "overtook a",
    ],
    [
      "one overtaken by one who works within a lock, when nobody wants everything any more",
      `f ask m; f queued m; a ask *; a queued *; a quit *; a gone *; c enter n; c2 asknested m; c2 enter m; c2 leave m; c leave n; f enter m; f leave m`,
      "overtook f",
    ],
    [
      "one overtaken whose lock wasn't taken away, though somebody tried",
      `a ask m; a queued m; b ask m; b queued m; a revoking m; b enter m 1; b leave m; a enter m 2; a leave m`,
      "wasn't taken away",
    ],
    ["a wait without an end", "a ask m; a queued m", "never heard of it again"],
    ["a hold without an end", "a enter m", "never left"],
    [
      "the child of a killed one beside another",
      `a enter m; a lent m; a kill; b enter m; a returned m; b leave m`,
      "overlap",
    ],
    [
      "a child that starts when another has the lock",
      `a enter m; a kill; b enter m; a lent m; b leave m; a returned m`,
      "overlap",
    ],
    [
      "a commit after the lock was taken away",
      `a enter m; b revoking m; a revoking m; a revoked m; a check m; a commit m; a leave m`,
      "commit after",
    ],
  ])("%s: found", (_, log, what) => {
    expect(check(log)).toEqual([expect.stringContaining(what)]);
  });
});

describe("sound logs", () => {
  test.each([
    ["shared side by side", `a enter m s 0; b enter m s 0${done("a", "b")}`],
    ["different models", "a enter m; b enter n; a leave m; b leave n"],
    ["after a kill", `a enter m 1; a kill; b enter m 2${done("b")}`],
    ["a line that a killed one still wrote", `a ask m; a kill; a enter m; b enter m; b leave m`],
    [
      "two who asked at once, in either order",
      `a ask m; b ask m; a queued m; b queued m; b enter m; b leave m; a enter m; a leave m`,
    ],
    ["shared ones past each other", `a ask m s; a queued m s; b ask m s; b enter m s; a enter m s${done("a", "b")}`],
    ["one who gave up", `a ask m; a queued m; b ask m; a quit m; b enter m; b leave m`],
    [
      "one who holds something already past everything",
      "c enter n; a ask *; a queued *; c2 asknested m; c2 enter m; c2 leave m; c leave n; a enter *; a leave *",
    ],
    [
      "one who works within a lock past others, where one who wanted everything is about to leave",
      `f ask m; f queued m; c enter n; a ask *; a queued *; a quit *; c2 asknested m; c2 enter m; a gone *; c2 leave m; c leave n; f enter m; f leave m`,
    ],
    [
      "one who works within a lock past others, where one who wants everything is being killed",
      `f ask m; f queued m; c enter n; a ask *; a queued *; a kill; c2 asknested m; c2 enter m; c2 leave m; c leave n; f enter m; f leave m`,
    ],
    ["a holder whose lock was taken away", `a enter m 1; a revoking m; a revoked m; b enter m 2${done("a", "b")}`],
    [
      "one whose lock was taken away before it could say that it had it",
      `a ask m; a queued m; b ask m; b queued m; a revoking m; a revoked m; b enter m 2; a enter m 1${done("b", "a")}`,
    ],
    [
      "a commit whose check came before the lock was taken away",
      `a enter m; a check m; a revoking m; a revoked m; a commit m; a leave m`,
    ],
    ["a child that outlives its parent", `a enter m; a lent m; a kill; a returned m; b enter m; b leave m`],
  ])("%s: fine", (_, log) => {
    expect(check(log)).toEqual([]);
  });
});
