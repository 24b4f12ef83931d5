/** A network namespace of its own, at the end of a cable that can be pulled out: what a machine is, as far as the network goes. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";

/** Why there can't be one here; undefined where there can. Whatever goes wrong after that is a failure, not a reason. */
export function whyNoNetworks(): string | undefined {
  if (process.platform !== "linux") return `${process.platform} has no network namespaces`;
  if (process.getuid?.() !== 0) return "only root may make network namespaces, and this isn't root";
  const made = spawnSync("unshare", ["--net", "true"]);
  if (made.status === 0) return undefined;
  return `unshare --net isn't permitted: ${made.error?.message ?? made.stderr.toString().trim()}`;
}

let networks = 0;

export class Network {
  /** The address of this side, which the other one reaches. */
  readonly address: string;
  /** What a command begins with that is to run on the other side. */
  readonly enter: readonly string[];
  readonly #cable: string;
  readonly #holder: ReturnType<typeof spawn>;

  private constructor(holder: ReturnType<typeof spawn>, { cable, address }: { cable: string; address: string }) {
    this.#holder = holder;
    this.#cable = cable;
    this.address = address;
    this.enter = ["nsenter", `--net=/proc/${holder.pid}/ns/net`];
  }

  /** The namespace, and with it the cable, ends with a process of ours, and that one with us. */
  static async open(): Promise<Network> {
    const holder = spawn("unshare", ["--net", "sh", "-c", "ip link set lo up && echo up && exec cat"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    if (holder.stdout === null) throw new Error("the namespace has no output");
    const up = await Promise.race([once(holder.stdout, "data"), once(holder, "close").then(() => undefined)]);
    if (up === undefined) throw new Error("the network namespace could not be made");
    const number = ++networks;
    const net = `10.${(process.pid >> 8) % 250}.${process.pid % 250}.${(number % 60) * 4}`;
    const at = (host: number) => net.replace(/\d+$/, (last) => String(Number(last) + host));
    const network = new Network(holder, { cable: `fen${process.pid % 1_000_000}n${number}`, address: at(1) });
    ip("link", "add", network.#cable, "type", "veth", "peer", "name", "eth0", "netns", String(holder.pid));
    ip("addr", "add", `${network.address}/30`, "dev", network.#cable);
    ip("link", "set", network.#cable, "up");
    run("nsenter", ...network.enter.slice(1), "ip", "addr", "add", `${at(2)}/30`, "dev", "eth0");
    run("nsenter", ...network.enter.slice(1), "ip", "link", "set", "eth0", "up");
    return network;
  }

  /** Pulls the cable out: nothing comes through, and nobody is told. */
  cut(): void {
    ip("link", "set", this.#cable, "down");
  }

  mend(): void {
    ip("link", "set", this.#cable, "up");
  }

  /** Also where something still runs there. */
  async close(): Promise<void> {
    spawnSync("ip", ["link", "delete", this.#cable]);
    const closed = once(this.#holder, "close");
    this.#holder.stdin?.end();
    await closed;
  }
}

function ip(...args: readonly string[]): void {
  run("ip", ...args);
}

function run(command: string, ...args: readonly string[]): void {
  const done = spawnSync(command, args);
  if (done.status !== 0)
    throw new Error(`${[command, ...args].join(" ")}: ${done.error?.message ?? done.stderr.toString()}`);
}
