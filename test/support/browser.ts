/** Chromium without a window, driven over its pipe: opens a page, presses keys, looks at what was drawn. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { until } from "./cli.ts";

// oxlint-disable-next-line typescript/no-explicit-any -- what the browser answers is looked at by tests
type Answer = any;

/** For `beforeAll`: without it each test would wait in vain for an answer. */
export function needChromium(): void {
  if (spawnSync("sh", ["-c", "command -v chromium"]).status !== 0)
    throw new Error("There is no chromium here to open the page with. Install it: sudo apt-get install -y chromium");
}

export interface BrowserOptions {
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
}

export class Browser {
  /** What the page said on its console, and errors that nobody caught. */
  readonly said: string[] = [];
  /** Addresses that were asked for. */
  readonly requests: string[] = [];
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #to: Writable;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #rest = "";
  #number = 0;
  #session: string | undefined;

  private constructor({ width = 1200, height = 800 }: BrowserOptions) {
    this.#folder = mkdtempSync(join(tmpdir(), "fen-browser-"));
    const args = [
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-background-networking",
      "--no-first-run",
      "--host-resolver-rules=MAP * ~NOTFOUND",
      `--user-data-dir=${this.#folder}`,
      `--window-size=${width},${height}`,
      "--remote-debugging-pipe",
      "about:blank",
    ];
    this.#process = spawn("chromium", args, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"], detached: true });
    // The fourth and fifth are pipes, as asked for.
    this.#to = this.#process.stdio[3] as Writable;
    const from = this.#process.stdio[4] as Readable;
    this.#to.on("error", () => undefined);
    from.setEncoding("utf8").on("data", (text: string) => this.#read(text));
  }

  /** Opens a file. */
  static async open(path: string, options: BrowserOptions = {}): Promise<Browser> {
    const { width = 1200, height = 800, dark = false } = options;
    const browser = new Browser(options);
    const { targetId } = await browser.#call("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await browser.#call("Target.attachToTarget", { targetId, flatten: true });
    browser.#session = sessionId;
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await browser.#call(`${domain}.enable`);
    await browser.#call("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
    await browser.dark(dark);
    await browser.#call("Page.navigate", { url: `file://${path}` });
    await browser.until("document.readyState === 'complete'");
    return browser;
  }

  /** Whether the person likes it dark. */
  async dark(isDark: boolean): Promise<void> {
    const features = [{ name: "prefers-color-scheme", value: isDark ? "dark" : "light" }];
    await this.#call("Emulation.setEmulatedMedia", { features });
  }

  /** Opens the page again, as if for the first time. */
  async again(): Promise<void> {
    await this.value("delete document.documentElement.dataset.paintedAfter");
    await this.#call("Page.reload", { ignoreCache: true });
  }

  /** The value of an expression in the page. */
  async value(expression: string): Promise<Answer> {
    const answer = await this.#call("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if (answer.exceptionDetails !== undefined) throw new Error(JSON.stringify(answer.exceptionDetails));
    return answer.result.value;
  }

  async until(expression: string): Promise<void> {
    await until(
      async () => (await this.value(expression)) === true,
      () => expression,
    );
  }

  /** Red, green and blue of a pixel of the window. */
  async pixel(x: number, y: number): Promise<readonly number[]> {
    // By way of a canvas of our own: the page's stays as it is.
    return this.value(`(() => {
      const from = document.querySelector("canvas"), box = from.getBoundingClientRect();
      const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
      pen.drawImage(from, box.left - ${x}, box.top - ${y});
      return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
    })()`);
  }

  async press(key: string): Promise<void> {
    const text = key.length === 1 ? { text: key } : {};
    await this.#call("Input.dispatchKeyEvent", { type: "keyDown", key, ...text });
    await this.#call("Input.dispatchKeyEvent", { type: "keyUp", key });
    await this.frame();
  }

  async type(text: string): Promise<void> {
    await this.#call("Input.insertText", { text });
    await this.frame();
  }

  /** `kind`: `mouseMoved`, `mousePressed`, `mouseReleased`, `mouseWheel`. */
  async mouse(kind: string, at: { readonly x: number; readonly y: number }, more: object = {}): Promise<void> {
    await this.#call("Input.dispatchMouseEvent", { type: kind, ...at, ...more });
    await this.frame();
  }

  /** Resolves when what was asked for has been drawn. */
  async frame(): Promise<void> {
    await this.value("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(1))))");
  }

  /** A picture of the window, as PNG. */
  async picture(): Promise<Buffer> {
    const { data } = await this.#call("Page.captureScreenshot", { format: "png" });
    return Buffer.from(data, "base64");
  }

  async close(): Promise<void> {
    const gone = new Promise((resolve) => this.#process.once("close", resolve));
    try {
      if (this.#process.pid !== undefined) process.kill(-this.#process.pid, "SIGKILL"); // its own group: all that it started
    } catch {
      // It is gone already.
    }
    await gone;
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #call(method: string, params: object = {}): Promise<Answer> {
    const id = ++this.#number;
    const session = this.#session === undefined ? {} : { sessionId: this.#session };
    this.#to.write(`${JSON.stringify({ id, method, params, ...session })}\0`);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, (answer) =>
        answer.error === undefined ? resolve(answer.result) : reject(new Error(`${method}: ${answer.error.message}`)),
      );
    });
  }

  #read(text: string): void {
    const messages = (this.#rest + text).split("\0");
    this.#rest = messages.pop() ?? "";
    for (const message of messages) {
      const answer: Answer = JSON.parse(message);
      if (answer.id === undefined) this.#note(answer);
      else this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    }
  }

  #note({ method, params }: Answer): void {
    if (method === "Runtime.exceptionThrown") this.said.push(JSON.stringify(params.exceptionDetails));
    if (method === "Runtime.consoleAPICalled") this.said.push(JSON.stringify(params.args));
    if (method === "Log.entryAdded") this.said.push(params.entry.text);
    if (method === "Network.requestWillBeSent") this.requests.push(params.request.url);
  }
}
