/** What is wrong with a file of rules, each defect with its place. */
import { LogError } from "../error.ts";

/** A place in a text: both from 1, columns in UTF-16 units. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface RulesDefect extends Place {
  /** The key: `classes.auth.keep`, `identity[0].issuer`; empty for the file as a whole. */
  readonly path: string;
  /** What is wrong, and what to write instead. */
  readonly message: string;
}

/** Nobody mends more at once, and an answer must not grow with what was sent. */
const DEFECTS_MAX = 100;

/** Collects defects, each with its place and words. */
export class RulesDefects {
  readonly #defects: RulesDefect[] = [];

  get full(): boolean {
    return this.#defects.length >= DEFECTS_MAX;
  }

  get any(): boolean {
    return this.#defects.length > 0;
  }

  add({ line, column }: Place, path: string, message: string): void {
    if (!this.full) this.#defects.push({ line, column, path, message });
  }

  /** One error with all of them, in the order of the text; `where` names the text. */
  toError(where: string): LogError {
    const defects = this.#defects.toSorted((a, b) => a.line - b.line || a.column - b.column);
    const [first] = defects;
    const more = defects.length > 1 ? ` (and ${defects.length - 1} more)` : "";
    const words = first === undefined ? "expected rules" : formatRulesDefect(first);
    return new LogError("rules-malformed", `${where}: ${words}${more}`, {
      details: { line: first?.line, column: first?.column, defects },
    });
  }
}

/** `line 4, column 11: classes.auth.keep: expected …`. */
export function formatRulesDefect({ line, column, path, message }: RulesDefect): string {
  return `line ${line}, column ${column}: ${path === "" ? "" : `${path}: `}${message}`;
}
