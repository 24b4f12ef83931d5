/**
 * The one table of error codes. A code is stable: scripts may match on it.
 * `kind` decides the exit code (see `cli/exit-codes.ts`); `retryable` tells a caller that the same
 * command may succeed later without any change.
 */
export type ErrorKind =
  | "work_failed" // exit 1: the work itself failed
  | "usage" // exit 2: the command line is wrong
  | "bad_data" // exit 65: a file or an input is wrong
  | "unavailable" // exit 69: a store can't be reached or written
  | "contention" // exit 75: somebody else holds it
  | "configuration" // exit 78: the repository or its settings are wrong
  | "interrupted" // exit 128+n: ended by a signal
  | "internal"; // exit 70: a defect of fen

export interface ErrorCodeInfo {
  readonly kind: ErrorKind;
  readonly retryable: boolean;
  /** One sentence for the docs and for `help --json`. */
  readonly summary: string;
}

const code = (kind: ErrorKind, summary: string, retryable = false): ErrorCodeInfo => ({
  kind,
  retryable,
  summary,
});

export const errorCodes = {
  // the command line
  usage: code("usage", "The command line can't be understood."),
  unknown_command: code("usage", "There is no such command."),
  confirmation_needed: code("usage", "The command destroys something and nobody was there to confirm it."),
  // the repository
  repository_missing: code("configuration", "No repository here or in a folder above."),
  repository_invalid: code("configuration", "The repository marker can't be used."),
  datastore_invalid: code("configuration", "The datastore's bucket, prefix, region or endpoint is wrong."),
  credentials_missing: code("configuration", "No credentials for the object store were found."),
  // models and types
  model_missing: code("work_failed", "No model has this name or id."),
  model_exists: code("work_failed", "A model with this name already exists."),
  model_ambiguous: code("bad_data", "Two definitions carry the same name."),
  model_in_use: code("work_failed", "A workflow names this model."),
  model_has_data: code("work_failed", "The model has data; deleting it needs --force."),
  type_missing: code("work_failed", "No model type has this name."),
  method_missing: code("work_failed", "The model type has no such method."),
  method_failed: code("work_failed", "The method ran and failed."),
  validation_failed: code("work_failed", "At least one check found an error."),
  // workflows
  workflow_missing: code("work_failed", "No workflow has this name or id."),
  workflow_exists: code("work_failed", "A workflow with this name already exists."),
  workflow_ambiguous: code("bad_data", "Two workflows carry the same name or id."),
  workflow_invalid: code("bad_data", "A workflow breaks a rule."),
  workflow_in_use: code("work_failed", "Another workflow calls this one."),
  run_missing: code("work_failed", "No workflow run has this id."),
  run_ended: code("work_failed", "The workflow run has ended; there is nothing to go on with."),
  run_nested: code("work_failed", "The workflow run belongs to a step of another one, which must be gone on with."),
  run_alive: code("contention", "The workflow run is still going on.", true),
  run_cancelled: code("work_failed", "The workflow run was cancelled."),
  run_corrupt: code("bad_data", "The journal of a workflow run can't be read."),
  resume_choice_needed: code("usage", "Steps were at work when the run died, and nobody said what to do with them."),
  step_timeout: code("work_failed", "A step took longer than its timeout."),
  workflow_running: code("work_failed", "A run of the workflow is going on."),
  workflow_read_only: code("work_failed", "The workflow belongs to an extension and can't be changed here."),
  // files and inputs
  definition_invalid: code("bad_data", "A model definition breaks a rule."),
  yaml_invalid: code("bad_data", "A file is not well-formed YAML."),
  file_too_large: code("bad_data", "A file is larger than the limit for its kind."),
  input_invalid: code("bad_data", "An input doesn't fit its schema."),
  arguments_invalid: code("bad_data", "Method arguments don't fit their schema."),
  name_invalid: code("bad_data", "A name holds something that a name may not hold."),
  path_escapes: code("bad_data", "A path leads out of the folder that it must stay in."),
  expression_invalid: code("bad_data", "An expression can't be parsed."),
  expression_failed: code("bad_data", "An expression can't be resolved."),
  expression_circle: code("bad_data", "Values that expressions compute need each other in a circle."),
  expression_not_yet: code("bad_data", "An expression uses something that this version can't evaluate yet."),
  // data and outputs
  evaluation_missing: code("work_failed", "The model or workflow was never evaluated, so it can't be run as it was."),
  data_missing: code("work_failed", "No data of this name or version."),
  data_exists: code("work_failed", "Data of this name already exists."),
  data_owner_differs: code("work_failed", "The data belongs to another model."),
  data_corrupt: code("bad_data", "Stored data can't be read as what it says it is."),
  output_missing: code("work_failed", "No output record has this id."),
  id_ambiguous: code("usage", "An id prefix fits more than one record."),
  // locks
  lock_timeout: code("contention", "The lock was not free within the time given.", true),
  lock_lost: code("contention", "The lock was taken away while the work ran; nothing was committed.", true),
  lock_would_deadlock: code("contention", "The command would wait for its own ancestor."),
  lock_wait_cycle: code("contention", "Commands wait for each other in a circle.", true),
  lock_not_held: code("work_failed", "Nothing was released: nobody holds this lock."),
  lock_holder_alive: code("contention", "The holder is alive; releasing its lock needs --nonce."),
  lock_changed: code("contention", "The lock has another holder than the one named.", true),
  locks_unsupported: code("unavailable", "File locks don't work on this filesystem."),
  // the machine
  store_unavailable: code("unavailable", "A file or folder can't be read or written.", true),
  store_denied: code("unavailable", "The object store doesn't permit it."),
  store_refused: code("unavailable", "The object store refused a request."),
  store_unsuited: code("unavailable", "The object store lacks what a datastore needs: conditional writes that work."),
  disk_full: code("unavailable", "There is no room left for the files of the datastore.", true),
  not_writable: code("unavailable", "The folder or file may not be written."),
  editor_failed: code("work_failed", "The editor ended with an error."),
  interrupted: code("interrupted", "The command was ended by a signal.", true),
  not_yet: code("usage", "This version doesn't do this yet."),
  internal: code("internal", "A defect of fen."),
} as const satisfies Record<string, ErrorCodeInfo>;

export type ErrorCode = keyof typeof errorCodes;
