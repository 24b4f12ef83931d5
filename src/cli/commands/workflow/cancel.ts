import { cancelRun } from "../../../app/workflow-cancel.ts";
import type { Handler } from "../../command.ts";

/** Children have five seconds to end before they are killed. */
const waitMs = 10_000;

export const handler: Handler = async ({ context, args, console }) => {
  const [run = ""] = args;
  const document = await cancelRun(context, { run, waitMs });
  return {
    document,
    text: () => {
      console.say(
        document.status === "ended"
          ? `The run ${document.id} has ended. Go on with it: fen workflow resume ${document.id}`
          : `The run ${document.id} was told to end. Follow it: fen workflow history watch ${document.id}`,
      );
      return "";
    },
  };
};
