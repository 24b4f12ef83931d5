/** Tells many waiters that a signal fired, with one listener for all of them: a signal looks through its listeners each time that it gets another. */
export class Stops {
  readonly #waiting = new WeakMap<AbortSignal, Set<(reason: unknown) => void>>();

  /** Calls `task` when the signal fires, until the function that it gives is called. */
  on(signal: AbortSignal, task: (reason: unknown) => void): () => void {
    const tasks = this.#waiting.get(signal) ?? this.#listen(signal);
    tasks.add(task);
    return () => void tasks.delete(task);
  }

  #listen(signal: AbortSignal): Set<(reason: unknown) => void> {
    const tasks = new Set<(reason: unknown) => void>();
    this.#waiting.set(signal, tasks);
    const tell = () => {
      for (const task of tasks) task(signal.reason);
      tasks.clear();
    };
    signal.addEventListener("abort", tell, { once: true });
    return tasks;
  }
}
