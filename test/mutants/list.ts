import { commitMutants } from "./commit-mutants.ts";
import { holdingMutants } from "./holding-mutants.ts";
import { journalMutants } from "./journal-mutants.ts";
import { leftMutants } from "./left-mutants.ts";
import { managerMutants } from "./manager-mutants.ts";
import { objectStoreMutants } from "./object-store-mutants.ts";
import type { Mutant } from "./mutant.ts";
import { protocolMutants } from "./protocol-mutants.ts";
import { s3Mutants } from "./s3-mutants.ts";
import { syncMutants } from "./sync-mutants.ts";

export const mutants: readonly Mutant[] = [
  ...protocolMutants,
  ...holdingMutants,
  ...managerMutants,
  ...commitMutants,
  ...objectStoreMutants,
  ...syncMutants,
  ...leftMutants,
  ...journalMutants,
  ...s3Mutants,
];
