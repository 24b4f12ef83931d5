import { type LockInfo, lockStatus } from "../../../app/datastore-use.ts";
import { table } from "../../render/table.ts";
import type { Handler } from "../../command.ts";

export const handler: Handler = async ({ context, console }) => {
  const document = await lockStatus(context);
  const held = [...(document.datastore === null ? [] : [document.datastore]), ...document.models];
  const row = (lock: LockInfo) => [
    lock.modelName ?? lock.resource,
    console.status(lock.state),
    lock.holder ?? "?",
    lock.processes.map((one) => one.pid).join(" ") || String(lock.pid ?? "?"),
    (lock.since ?? lock.acquiredAt ?? "").slice(11, 19),
    lock.command ?? lock.processes[0]?.command ?? "",
    console.dim(lock.nonce ?? ""),
  ];
  const text = () => {
    if (held.length + document.waiting.length === 0) return "Nobody holds or awaits a lock.";
    const waiting = document.waiting.map((one) => [
      one.modelName ?? one.resource,
      console.yellow(`waiting (${one.place})`),
      one.holder,
      String(one.pid),
      (one.since ?? "").slice(11, 19),
      one.command ?? "",
      "",
    ]);
    return table(
      ["LOCK", "STATE", "WHO", "PID", "SINCE (UTC)", "COMMAND", "NONCE"],
      [...held.map(row), ...waiting],
      (head) => console.dim(head),
    );
  };
  return { document, text, paged: true };
};
