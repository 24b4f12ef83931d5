import type { Handler } from "../command.ts";
import { version } from "../main.ts";

export const handler: Handler = async () => ({ document: { version }, text: () => version });
