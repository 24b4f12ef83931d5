import { describeWorkflowFiles } from "../../../app/workflows.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async () => {
  const document = await describeWorkflowFiles();
  return { document, text: () => JSON.stringify(document, undefined, 2), paged: true };
};
