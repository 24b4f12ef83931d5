/** A short helper process, waited for. The library behind it is loaded when it is first needed: it costs milliseconds that few commands need. */
export interface Ran {
  readonly stdout: string;
  readonly stderr: string;
  readonly error: Error | undefined;
}

export function runSync(
  command: readonly [string, ...string[]],
  options: { readonly timeoutMs: number; readonly env: Readonly<Record<string, string | undefined>> },
): Ran {
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const [file, ...args] = command;
  const { stdout, stderr, error } = spawnSync(file, args, {
    encoding: "utf8",
    timeout: options.timeoutMs,
    env: { ...options.env },
  });
  return { stdout, stderr, error };
}
