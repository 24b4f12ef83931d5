/** What the tests here run millions of times. */
export { explore } from "./explore.ts";
export { protocolSpace } from "./protocol-space.ts";
export { search } from "./search.ts";
export { simulate } from "./simulate.ts";
