import { type LockInfo, lockStatus, type LockStatusResult, watchLocks } from "../../../app/datastore-use.ts";
import type { Console } from "../../console.ts";
import { exitCodeOf } from "../../exit-codes.ts";
import { lengthOf, table, timeSince } from "../../render/table.ts";
import type { Handler, Invocation, Outcome } from "../../command.ts";

export const handler: Handler = async (invocation) => {
  const { context, console, flags } = invocation;
  if (flags.on("watch")) return watch(invocation);
  const document = await lockStatus(context);
  return { document, text: () => statusText(console, document), paged: true };
};

/** On a terminal one table that is drawn anew; elsewhere a table, or a line of JSON, for each change. Ends with Ctrl-C. */
async function watch({ context, console, json }: Invocation): Promise<Outcome> {
  let last: LockStatusResult | undefined;
  for await (const status of watchLocks(context)) {
    last = status;
    if (json) console.out(JSON.stringify(status));
    else console.redraw(console.shown(`${statusText(console, status)}\n${console.dim("Ctrl-C ends this.")}`));
  }
  return { document: last, text: () => "", silent: true, exitCode: exitCodeOf(context.signal.reason) };
}

function statusText(console: Console, document: LockStatusResult): string {
  const held = [...(document.datastore === null ? [] : [document.datastore]), ...document.models];
  if (held.length + document.waiting.length === 0) return "Nobody holds or awaits a lock.";
  const row = (lock: LockInfo) => [
    lock.modelName ?? lock.resource,
    console.status(lock.state),
    lock.holder ?? "?",
    lock.processes.map((one) => one.pid).join(" ") || String(lock.pid ?? "?"),
    timeSince(lock.since ?? lock.acquiredAt ?? ""),
    lock.command ?? lock.processes[0]?.command ?? "",
    console.dim(lock.nonce ?? ""),
  ];
  const waiting = document.waiting.map((one) => [
    one.modelName ?? one.resource,
    console.yellow(`waiting (${one.place})`),
    one.holder,
    String(one.pid),
    timeSince(one.since ?? ""),
    one.command ?? "",
    "",
  ]);
  const head = ["LOCK", "STATE", "WHO", "PID", "SINCE (UTC)", "COMMAND", "NONCE"];
  const rows = [...held.map(row), ...waiting];
  const whole = table(head, rows, (title) => console.dim(title));
  const fits = !console.isTerminal || whole.split("\n").every((line) => lengthOf(line) <= console.width);
  // In a window that is too narrow the nonce gives way: whoever needs it is told it by `lock release`.
  const shown = (cells: readonly string[]) => cells.slice(0, -1);
  return fits ? whole : table(shown(head), rows.map(shown), (title) => console.dim(title));
}
