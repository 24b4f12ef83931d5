/**
 * The AWS SDK's chain of credentials. A module of its own, to be loaded where it is needed: the bundler doesn't find what a CommonJS package gives that
 * is the target of an `import()` itself.
 */
export { defaultProvider } from "@aws-sdk/credential-provider-node";
