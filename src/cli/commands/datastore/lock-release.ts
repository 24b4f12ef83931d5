import { releaseLock } from "../../../app/datastore-use.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, flags }) => {
  const document = await releaseLock(context, {
    model: flags.text("model"),
    nonce: flags.text("nonce"),
    force: flags.on("force"),
  });
  const { previousHolder: holder } = document;
  return {
    document,
    text: () =>
      `Released the lock on ${document.resource}: ${document.reason ?? ""}${holder === undefined ? "" : ` (was ${holder.holder ?? "?"}, pid ${holder.pid ?? "?"})`}.`,
  };
};
