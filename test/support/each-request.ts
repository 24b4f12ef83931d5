/** Every request that a command makes, however many that are: no list of numbers that a later change of the command could leave some out of. */
import { oneIn, today } from "./share.ts";

/**
 * `attempt` does something to the command at its request `k` (the first is 0), and gives false where the command ended before it made that many.
 * Gives how many requests it came to. A few at a time: they mostly wait.
 */
export async function atEachRequest(
  attempt: (k: number) => Promise<boolean>,
  { atOnce = 3, every = oneIn } = {},
): Promise<number> {
  let [next, reached, isOver] = [today % every, 0, false];
  const worker = async (): Promise<void> => {
    while (!isOver) {
      const k = next;
      next += every;
      if (k > most) throw new Error(`more than ${most} requests: it never ends`);
      try {
        if (await attempt(k)) reached = Math.max(reached, k + 1);
        else isOver = true;
      } catch (error) {
        isOver = true;
        throw new Error(`at request ${k}`, { cause: error });
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return reached;
}

const most = 100;
