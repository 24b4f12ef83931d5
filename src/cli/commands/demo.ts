import { FenError } from "../../kernel/errors.ts";
import type { Handler } from "../command.ts";

export const handler: Handler = async () => {
  throw new FenError("not_yet", "The demo is being written.");
};
