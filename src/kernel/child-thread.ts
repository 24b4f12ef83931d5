/** The thread that starts children (decision 0009); built into a file of its own. Messages of one turn go together. */
import { parentPort, type Transferable } from "node:worker_threads";
import { type ChildOptions, type DirectChild, directChildren, type OutputStream } from "./children.ts";
import { systemErrorCode } from "./errors.ts";

export type ToThread =
  | { readonly kind: "start"; readonly id: number; readonly options: ChildOptions }
  | { readonly kind: "let-go"; readonly id: number }
  | { readonly kind: "taken"; readonly id: number; readonly bytes: number };

export type FromThread =
  | { readonly kind: "started"; readonly id: number; readonly pid: number }
  | {
      readonly kind: "failed";
      readonly id: number;
      readonly message: string;
      readonly code: string | undefined;
    }
  | { readonly kind: "output"; readonly id: number; readonly stream: OutputStream; readonly chunk: Uint8Array }
  | {
      readonly kind: "ended";
      readonly id: number;
      readonly code: number | null;
      readonly signal: NodeJS.Signals | null;
    }
  | { readonly kind: "closed"; readonly id: number };

/** Of one child at most so many bytes are on the way. */
const mostBytes = 1024 * 1024;

/** Serves the thread that made this one. */
function serve(port: NonNullable<typeof parentPort>): void {
  const starter = directChildren();
  const children = new Map<number, { readonly child: DirectChild; onTheWay: number; isFull: boolean }>();
  let outbox: FromThread[] = [];
  let transfers: Transferable[] = [];

  const send = (message: FromThread) => {
    if (outbox.length === 0) setImmediate(flush);
    outbox.push(message);
  };
  const flush = () => {
    const messages = outbox;
    const moved = transfers;
    outbox = [];
    transfers = [];
    port.postMessage(messages, moved);
  };
  const output = (id: number, stream: OutputStream, bytes: Uint8Array) => {
    const chunk = new Uint8Array(bytes); // its own: a piece of a greater buffer would take all of it along
    transfers.push(chunk.buffer);
    send({ kind: "output", id, stream, chunk });
    const one = children.get(id);
    if (one === undefined) return;
    one.onTheWay += chunk.length;
    if (one.isFull || one.onTheWay < mostBytes) return;
    one.isFull = true;
    one.child.setReading(false);
  };
  const start = (id: number, options: ChildOptions) => {
    const child = starter.start(options, {
      started: (pid) => send({ kind: "started", id, pid }),
      failed: (error) => {
        children.delete(id);
        const message = error instanceof Error ? error.message : String(error);
        send({ kind: "failed", id, message, code: systemErrorCode(error) });
      },
      output: (stream, chunk) => output(id, stream, chunk),
      ended: (code, signal) => send({ kind: "ended", id, code, signal }),
      closed: () => {
        children.delete(id);
        send({ kind: "closed", id });
      },
    });
    children.set(id, { child, onTheWay: 0, isFull: false });
  };

  port.postMessage([]); // it is up
  port.on("message", (message: ToThread) => {
    if (message.kind === "start") return start(message.id, message.options);
    const one = children.get(message.id);
    if (one === undefined) return;
    if (message.kind === "let-go") one.child.letGo();
    else {
      one.onTheWay -= message.bytes;
      if (!one.isFull || one.onTheWay >= mostBytes / 2) return;
      one.isFull = false;
      one.child.setReading(true);
    }
  });
}

if (parentPort !== null) serve(parentPort);
