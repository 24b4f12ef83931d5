/**
 * (being written) A workspace is an opened repository with everything a use case works on. Made once per command.
 *
 *   const workspace = await openWorkspace(context);
 *   workspace.repository   Repository        (repo/repository.ts)
 *   workspace.datastore    Datastore         (store/contract.ts)
 *   workspace.locks        LockManager       (lock/manager.ts)
 *   workspace.types        ModelTypes        (model/type.ts)
 *   workspace.definitions  Definitions       (model/definitions.ts)
 *   workspace.data         DataVersions      (data/versions.ts)
 *   workspace.outputs      Outputs           (data/outputs.ts)
 *
 *   await using lease = await workspace.lock([{ resource, mode: "exclusive" }]);   // honours timeout, signal, notices
 */
export {};
