import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type EndTurn, Turns } from "./turns.ts";

const never = new AbortController().signal;
/** Lets everything that is due happen. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("turns on one model", () => {
  test("writers alone, readers together, in the order of asking: a reader doesn't overtake a writer", async () => {
    const turns = new Turns();
    const at: string[] = [];
    const ends = new Map<string, EndTurn>();
    const ask = (name: string, mode: "shared" | "exclusive") =>
      void turns.take("m", mode, never).then((end) => {
        at.push(name);
        ends.set(name, end);
      });
    ask("r1", "shared");
    ask("r2", "shared");
    ask("w1", "exclusive");
    ask("r3", "shared");
    ask("w2", "exclusive");
    await settle();
    expect(at).toEqual(["r1", "r2"]);
    ends.get("r1")?.();
    ends.get("r1")?.(); // a second time changes nothing
    await settle();
    expect(at).toEqual(["r1", "r2"]);
    ends.get("r2")?.();
    await settle();
    expect(at).toEqual(["r1", "r2", "w1"]);
    ends.get("w1")?.();
    await settle();
    expect(at).toEqual(["r1", "r2", "w1", "r3"]);
    ends.get("r3")?.();
    await settle();
    expect(at.at(-1)).toBe("w2");
  });

  test("another model isn't waited for", async () => {
    const turns = new Turns();
    await turns.take("a", "exclusive", never);
    await turns.take("b", "exclusive", never);
  });

  test("one who gives up leaves no gap: readers behind a writer that is gone begin at once", async () => {
    const turns = new Turns();
    await turns.take("m", "shared", never);
    const stop = new AbortController();
    const writer = turns.take("m", "exclusive", stop.signal);
    const reader = turns.take("m", "shared", never);
    stop.abort(new Error("enough"));
    await expect(writer).rejects.toThrow("enough");
    await reader;
    await expect(turns.take("m", "shared", stop.signal)).rejects.toThrow("enough");
  });

  test("whatever comes, goes and gives up: never a writer beside another, everybody who stays has a turn, first come first", async () => {
    const action = fc.record({
      kind: fc.constantFrom("ask" as const, "ask" as const, "end" as const, "give up" as const),
      mode: fc.constantFrom("shared" as const, "exclusive" as const),
      pick: fc.nat(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
        const turns = new Turns();
        const waiting = new Map<number, { readonly mode: string; readonly stop: AbortController }>();
        const active = new Map<number, { readonly mode: string; readonly end: EndTurn }>();
        let next = 0;
        const begun: number[] = [];
        const check = () => {
          const modes = [...active.values()].map((one) => one.mode);
          if (modes.includes("exclusive")) expect(modes).toHaveLength(1);
        };
        for (const { kind, mode, pick } of actions) {
          if (kind === "ask") {
            const number = next++;
            const stop = new AbortController();
            waiting.set(number, { mode, stop });
            void turns.take("m", mode, stop.signal).then(
              (end) => {
                waiting.delete(number);
                active.set(number, { mode, end });
                begun.push(number);
                check();
              },
              () => undefined,
            );
          }
          const from = kind === "end" ? [...active] : [...waiting];
          const [number, one] = from[pick % Math.max(1, from.length)] ?? [];
          if (kind !== "ask" && number !== undefined && one !== undefined) {
            if ("end" in one) {
              active.delete(number);
              one.end();
            } else {
              waiting.delete(number);
              one.stop.abort(new Error("enough"));
            }
          }
          await settle();
        }
        while (active.size > 0) {
          const [number, { end }] = [...active][0] ?? [0, { end: () => undefined }];
          active.delete(number);
          end();
          await settle();
        }
        expect(waiting.size).toBe(0);
        expect(begun).toEqual(begun.toSorted((a, b) => a - b));
      }),
      { numRuns: 300 },
    );
  });
});
