/** The text log of one run: a line per record. What a method says is data here, never a format. */
import { isoNow } from "../kernel/iso-time.ts";
import type { Machine } from "../kernel/machine.ts";
import type { Appender } from "../store/contract.ts";

/** More than this from the method itself isn't repeated here: its `log` data has all of it. */
const maxOutputBytes = 16 * 1024 * 1024;

export class RunLog {
  readonly #machine: Machine;
  #file: Appender;
  readonly #category: string;
  #isCut = false;

  /** `category`: `model·method·run·<model>·<method>`. */
  constructor(machine: Machine, file: Appender, category: string) {
    this.#machine = machine;
    this.#file = file;
    this.#category = category;
  }

  info(message: string): void {
    this.#write("INF", message);
  }

  warn(message: string): void {
    this.#write("WRN", message);
  }

  error(message: string): void {
    this.#write("ERR", message);
  }

  /** A line of the method's own output. */
  output(stream: "stdout" | "stderr", line: string): void {
    if (this.#file.size > maxOutputBytes) {
      if (!this.#isCut) this.warn("More output follows: it is in the data called log");
      this.#isCut = true;
      return;
    }
    this.#write(stream === "stdout" ? "INF" : "WRN", line);
  }

  /** What it was written to is closed; the rest goes here. */
  goOn(file: Appender): void {
    this.#file = file;
  }

  async close(): Promise<void> {
    await this.#file.close({ durable: false });
  }

  #write(level: string, message: string): void {
    const time = isoNow(this.#machine);
    for (const line of message.split("\n"))
      this.#file.append(`${time.slice(0, 10)} ${time.slice(11, 23)} +00:00 [${level}] ${this.#category}: ${line}\n`);
  }
}
