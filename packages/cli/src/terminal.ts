/** What a command prints: text or JSON on stdout, trouble and progress on stderr. */
import { styleText } from "node:util";
import { printable, printableJson, printableLines } from "./printable.ts";

export interface Streams {
  readonly out: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly err: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

/**
 * A part of a line that is shown otherwise on a terminal.
 *
 * An object, so that no text of others can ask for a style: what is hidden or stands out says which part is ours.
 */
export class Styled {
  readonly style: "bold" | "dim";
  readonly text: string;

  constructor(style: "bold" | "dim", text: string) {
    this.style = style;
    this.text = text;
  }
}

export function bold(text: string): Styled {
  return new Styled("bold", text);
}

export function dim(text: string): Styled {
  return new Styled("dim", text);
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

  /** One line for people, whatever its parts hold; nothing where JSON was asked for. */
  line(...parts: readonly (string | Styled)[]): void {
    this.#clearBar();
    if (!this.json) this.#streams.out.write(`${parts.map((part) => this.#show(part)).join("")}\n`);
  }

  /** The value for programs, on one line; nothing where JSON was not asked for. */
  value(value: unknown): void {
    this.#clearBar();
    if (this.json) this.#streams.out.write(`${printableJson(JSON.stringify(value, plain))}\n`);
  }

  /** Several lines as they are, whoever reads them; on a terminal without what steers it. */
  write(text: string): void {
    this.#clearBar();
    this.#streams.out.write(this.#streams.out.isTTY === true ? printableLines(text) : text);
  }

  /** A line of trouble, or of its way out, on stderr. */
  trouble(text: string): void {
    this.#clearBar();
    this.#streams.err.write(`${printable(text)}\n`);
  }

  /** A line beside what was asked for, on stderr, so that `$(…)` takes the answer alone; nothing where JSON was asked for. */
  aside(text: string): void {
    if (!this.json) this.trouble(text);
  }

  /** A line on stderr for whoever collects logs. */
  record(value: unknown): void {
    this.#clearBar();
    this.#streams.err.write(`${printableJson(JSON.stringify(value, plain))}\n`);
  }

  /** How far long work has come. Drawn on a terminal only. */
  progress(what: string, done: number, total: number): void {
    if (this.json || this.#streams.err.isTTY !== true) return;
    const now = performance.now();
    if (now - this.#drawnAt < DRAW_INTERVAL_MS && done < total) return;
    this.#drawnAt = now;
    this.#bar = true;
    const share = total === 0 ? 1 : Math.min(done / total, 1);
    const filled = Math.round(share * BAR_WIDTH);
    const bar = "█".repeat(filled) + "░".repeat(BAR_WIDTH - filled);
    this.#streams.err.write(`\r${what} ${bar} ${String(Math.floor(share * 100)).padStart(3)} % ${done}/${total}`);
    if (done >= total) this.#clearBar();
  }

  #show(part: string | Styled): string {
    if (typeof part === "string") return printable(part);
    const text = printable(part.text);
    return this.#streams.out.isTTY === true ? styleText(part.style, text, { validateStream: false }) : text;
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
