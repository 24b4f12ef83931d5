/** The searches and the simulation in one bundle: where each module is on its own, every name of another one is looked up at every use, a fifth of the time here. */
import { bundleProgram } from "../support/bundle.ts";
import type * as engines from "./engines.ts";

export async function bundled(): Promise<typeof engines> {
  return import(await bundleProgram("test/simulation/engines"));
}
