import { setUpS3 } from "../../../app/datastore-setup.ts";
import { FenError } from "../../../kernel/errors.ts";
import { migrationFlags, setupText } from "./setup-text.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, flags, console }) => {
  const bucket = flags.text("bucket");
  if (bucket === undefined)
    throw new FenError("usage", "--bucket is missing.", { hint: "fen datastore setup s3 --bucket <name>" });
  const document = await setUpS3(context, {
    bucket,
    prefix: flags.text("prefix"),
    region: flags.text("region"),
    endpoint: flags.text("endpoint"),
    forcePathStyle: flags.on("force-path-style"),
    allowHttp: flags.on("allow-http"),
    ...migrationFlags(flags),
  });
  return { document, text: () => setupText(console, document) };
};
