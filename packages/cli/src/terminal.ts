/** What a command prints: text or JSON on stdout, trouble and progress on stderr. */
import { styleText } from "node:util";
import { printableLines } from "./printable.ts";

export interface Streams {
  readonly out: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly err: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

const BAR_WIDTH = 30;
/** A bar is drawn at most this often. */
const DRAW_INTERVAL_MS = 100;

export class Terminal {
  readonly json: boolean;
  readonly #streams: Streams;
  #drawnAt = 0;
  #bar = false;

  constructor(streams: Streams, json: boolean) {
    this.#streams = streams;
    this.json = json;
  }

  /** A line for people; nothing where JSON was asked for. */
  line(text = ""): void {
    this.#clearBar();
    if (!this.json) this.#streams.out.write(`${printableLines(text)}\n`);
  }

  /** The value for programs; nothing where JSON was not asked for. */
  value(value: unknown): void {
    this.#clearBar();
    if (this.json) this.#streams.out.write(`${JSON.stringify(value, plain)}\n`);
  }

  /** Raw text, whoever reads it. */
  write(text: string): void {
    this.#clearBar();
    this.#streams.out.write(text);
  }

  /** Trouble, on stderr, with a way out. */
  trouble(text: string): void {
    this.#clearBar();
    this.#streams.err.write(`${printableLines(text)}\n`);
  }

  bold(text: string): string {
    return this.#streams.out.isTTY === true ? styleText("bold", text) : text;
  }

  dim(text: string): string {
    return this.#streams.out.isTTY === true ? styleText("dim", text) : text;
  }

  /** How far long work has come. Drawn on a terminal only. */
  progress(what: string, done: number, total: number): void {
    if (this.json || this.#streams.err.isTTY !== true) return;
    const now = performance.now();
    if (now - this.#drawnAt < DRAW_INTERVAL_MS && done < total) return;
    this.#drawnAt = now;
    this.#bar = true;
    const share = total === 0 ? 1 : done / total;
    const filled = Math.round(share * BAR_WIDTH);
    const bar = "█".repeat(filled) + "░".repeat(BAR_WIDTH - filled);
    this.#streams.err.write(`\r${what} ${bar} ${String(Math.floor(share * 100)).padStart(3)} % ${done}/${total}`);
    if (done >= total) this.#clearBar();
  }

  #clearBar(): void {
    if (!this.#bar) return;
    this.#bar = false;
    this.#streams.err.write("\r\u001B[K");
  }
}

/** Bytes as base64, bigints as decimal text, maps as objects. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Map) return Object.fromEntries(value);
  return value;
}
