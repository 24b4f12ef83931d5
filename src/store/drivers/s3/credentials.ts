/**
 * Who we are to the store. Keys in the environment are used as they are; for everything else (profiles, SSO, roles, a container's or machine's
 * identity) the AWS SDK's chain is loaded, and only then.
 */
import { FenError } from "../../../kernel/errors.ts";
import type { Machine } from "../../../kernel/machine.ts";
import type { Credentials } from "./sign.ts";

/** `renew`: those we have were refused; asks for others. Throws `credentials_missing`. */
export type CredentialSource = (options: { readonly renew: boolean }) => Promise<Credentials>;

export function credentialSource(machine: Machine): CredentialSource {
  const { env } = machine.host;
  const [accessKeyId, secretAccessKey] = [env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]];
  if (isSet(accessKeyId) && isSet(secretAccessKey) && !isSet(env["AWS_PROFILE"])) {
    const sessionToken = isSet(env["AWS_SESSION_TOKEN"]) ? env["AWS_SESSION_TOKEN"] : undefined;
    return async () => ({ accessKeyId, secretAccessKey, sessionToken });
  }
  return chain(isSet(env["AWS_PROFILE"]) ? ` for AWS_PROFILE=${env["AWS_PROFILE"]}` : "");
}

/** The SDK's chain keeps what it found until shortly before it expires. */
function chain(whose: string): CredentialSource {
  let provider: Promise<(options?: { forceRefresh?: boolean }) => Promise<Credentials>> | undefined;
  const load = async () => (await import("./aws-chain.ts")).defaultProvider();
  return async ({ renew }) => {
    provider ??= load();
    const provide = await provider;
    try {
      return await provide(renew ? { forceRefresh: true } : {});
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const [first = ""] = reason.split("\n");
      throw new FenError(
        "credentials_missing",
        `No credentials for S3 were found${whose}: ${first.replace(/\.$/, "")}.`,
        {
          hint: "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; with SSO, run: aws sso login",
          facts: { reason },
          cause: error,
        },
      );
    }
  };
}

function isSet(text: string | undefined): text is string {
  return text !== undefined && text !== "";
}
