/** What a datastore that isn't on this machine can do beside the work of commands: bring all of it here, and write what other programs read. */
export interface DataSync {
  /** Brings the content of every committed version that this machine lacks into its cache. */
  pull(): Promise<Transfer>;
  /**
   * Writes the files by which programs that know no manifests find and read versions, as far as they are missing or say something old; or waits until
   * another command has, which began after this was asked for. Then no file was written by this one. `signal` ends the waiting.
   */
  publish(options?: { readonly signal?: AbortSignal }): Promise<Transfer>;
}

export interface Transfer {
  readonly files: number;
  /** One sentence for each file that could not be brought: the others were. */
  readonly errors: readonly string[];
}
