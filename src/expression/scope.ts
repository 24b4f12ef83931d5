/** What an expression sees. */
export interface Scope {
  readonly inputs?: Readonly<Record<string, unknown>> | undefined;
  readonly self?: Readonly<Record<string, unknown>> | undefined;
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}
