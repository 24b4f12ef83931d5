/** Which processes and which faults are searched exhaustively. */
import type { Faults, Script } from "./protocol-space.ts";

const scripts: Readonly<Record<string, Script>> = {
  aX: [{ key: "a", mode: "exclusive" }],
  aS: [{ key: "a", mode: "shared" }],
  /** Its commit is its release. */
  aL: [{ key: "a", mode: "exclusive", last: true }],
  bX: [{ key: "b", mode: "exclusive" }],
  /** Holds a, then asks for b. */
  ab: [
    { key: "a", mode: "exclusive" },
    { key: "b", mode: "exclusive" },
  ],
  /** A structural command. */
  D: [{ key: "datastore", mode: "exclusive" }],
};

export interface Search {
  readonly who: string;
  readonly faults: Faults;
}

export const scriptsOf = (who: string): Script[] => who.split(" ").map((name) => scripts[name] ?? []);

const none: Faults = { crashes: 0, pauses: 0, lostAnswers: 0 };
const crash = { ...none, crashes: 1 };
const pause = { ...none, pauses: 1 };
const lost = { ...none, lostAnswers: 1 };
const search = (faults: Faults, ...all: string[]): Search[] => all.map((who) => ({ who, faults }));

/** A minute and a half on two cores that have nothing else to do. */
export const searches: readonly Search[] = [
  ...search(crash, "aX aX aX", "aX aX D", "aX bX D", "aX aS D", "aS aS aX", "aX D D", "ab D", "aL aX D"),
  ...search(pause, "aX aX", "aL aL", "aL D", "aX aS", "aX D", "ab aX", "ab ab", "ab D", "aS aS aX"),
  ...search(lost, "aX aX", "aL aL", "aL aL aX", "aL D", "aX aS", "aX D", "ab ab", "ab D", "aX aX aX", "aX aX D"),
];

/** All that three processes can be, each with each fault, and pauses with crashes: for a machine that has an hour. */
export const allSearches: readonly Search[] = [
  ...search(crash, "ab bX D", "ab aX D", "ab ab D", "ab D D"),
  ...search(pause, "aX aX aX", "aX aX D", "aX bX D", "aX aS D", "ab aX D", "ab bX D"),
  ...search({ crashes: 0, pauses: 1, lostAnswers: 1 }, "aL aL", "aL aX", "aL D"),
  ...search(lost, "aX bX D", "aX aS D", "ab aX D", "ab bX D"),
  ...search({ crashes: 1, pauses: 1, lostAnswers: 0 }, "aX aX", "aX D", "ab D", "aX aX D"),
  ...search({ crashes: 1, pauses: 1, lostAnswers: 1 }, "aX aX", "aX aS", "aX D", "ab D"),
];
