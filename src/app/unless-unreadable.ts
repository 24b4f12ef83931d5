/** Of many things that are looked at, those that can't be read are told, and don't hide the others. */
import { FenError } from "../kernel/errors.ts";
import type { AppContext } from "./context.ts";

/** What `read` gives; undefined where it throws a `FenError`, which is warned of. */
export async function unlessUnreadable<T>(
  context: Pick<AppContext, "emit">,
  read: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof FenError)) throw error;
    context.emit({ event: "warning", message: error.message });
    return undefined;
  }
}
