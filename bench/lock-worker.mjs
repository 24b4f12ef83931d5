// A process of the lock bench: takes locks when it is told to, and says when (microseconds of the machine's monotonic clock).
import { openLocks } from "../dist/lock.mjs";

const locks = openLocks(process.argv[2], { command: "bench", records: process.argv[3] });
const now = () => Number(process.hrtime.bigint()) / 1000;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let lease;

const orders = {
  /** Takes its turn: `callers` at once in this process. */
  async turn({ resource, holdMs, callers = 1 }) {
    const one = async () => {
      const mine = await locks.acquire([{ resource, mode: "exclusive" }]);
      const enter = now();
      if (holdMs > 0) await sleep(holdMs);
      const leave = now();
      await mine.release();
      return { enter, leave };
    };
    return Promise.all(Array.from({ length: callers }, one));
  },
  async hold({ resource }) {
    lease = await locks.acquire([{ resource, mode: "exclusive" }]);
    return now();
  },
  async release() {
    const at = now();
    await lease.release();
    return at;
  },
  /** Times of `count` acquisitions and releases that nobody contends with. */
  async alone({ resource, count }) {
    const times = [];
    for (let n = 0; n < count; n++) {
      const start = now();
      await (await locks.acquire([{ resource, mode: "exclusive" }])).release();
      times.push(now() - start);
    }
    return times;
  },
};

process.on("message", async ({ number, order, options }) =>
  process.send({ number, value: await orders[order](options) }),
);
process.on("disconnect", () => process.exit(0));
process.send({ ready: true });
