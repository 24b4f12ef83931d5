/** A bug that was planted on purpose, and the check that must find it. */
export interface Mutant {
  /** What is wrong, as one would tell a colleague. */
  readonly name: string;
  /** Scenarios of this kind that tools had in earnest: numbers of the list that the tests' titles name, too. */
  readonly scenarios: readonly number[];
  /** Below `src/`. */
  readonly file: string;
  /** Is in the file exactly once. */
  readonly from: string;
  readonly to: string;
  /** Below `src/`, without `.test.ts`. */
  readonly check: string;
  /** How the title of the test begins that must fail. */
  readonly test: string;
}
