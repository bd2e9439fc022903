/** Finds the first place at which text is not strict JSON. Slower than the platform's parser, but it can tell why. */

export interface JsonDefect {
  readonly offset: number;
  readonly message: string;
}

/** The first defect of `text`; `undefined` where it is strict JSON of at most `depthMax` levels. */
export function scanJson(text: string, depthMax: number): JsonDefect | undefined {
  try {
    new Scanner(text, depthMax).scan();
    return undefined;
  } catch (error) {
    if (error instanceof Found) return error;
    throw error;
  }
}

/** Carries a defect out of the scanner; never seen outside. */
class Found extends Error implements JsonDefect {
  readonly offset: number;

  constructor(offset: number, message: string) {
    super(message);
    this.offset = offset;
  }
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const SPACE = /[ \t\n\r]*/y;
const LITERAL = /true|false|null/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})/y;
// oxlint-disable-next-line no-control-regex -- JSON forbids them as they are
const PLAIN = /[^"\\\u0000-\u001f]*/y;

/** Recursive, but never deeper than `depthMax`. */
class Scanner {
  readonly #text: string;
  readonly #depthMax: number;
  #at = 0;

  constructor(text: string, depthMax: number) {
    this.#text = text;
    this.#depthMax = depthMax;
  }

  scan(): void {
    this.#skip(SPACE);
    this.#value(1);
    if (this.#at < this.#text.length) this.#fail(`expected the end, got ${this.#here()}`);
  }

  /** A value and the white space after it. */
  #value(depth: number): void {
    const next = this.#text[this.#at];
    if (next === "{") this.#object(depth);
    else if (next === "[") this.#list("]", depth, () => this.#value(depth + 1));
    else if (next === '"') this.#string();
    else if (!this.#skip(LITERAL) && !this.#skip(NUMBER)) this.#fail(`expected a value, got ${this.#here()}`);
    this.#skip(SPACE);
  }

  #object(depth: number): void {
    const names = new Set<string>();
    this.#list("}", depth, () => {
      this.#name(names);
      this.#skip(SPACE);
      this.#expect(":");
      this.#skip(SPACE);
      this.#value(depth + 1);
    });
  }

  /** Members in brackets of one kind, with commas between. */
  #list(end: "]" | "}", depth: number, member: () => void): void {
    if (depth > this.#depthMax) this.#fail(`expected at most ${this.#depthMax} levels of arrays and objects`);
    this.#at += 1;
    this.#skip(SPACE);
    if (this.#take(end)) return;
    do {
      this.#skip(SPACE);
      member();
    } while (this.#take(","));
    this.#expect(end);
  }

  #name(names: Set<string>): void {
    const start = this.#at;
    if (this.#text[start] !== '"') this.#fail(`expected a name in double quotes, got ${this.#here()}`);
    this.#string();
    const name = JSON.parse(this.#text.slice(start, this.#at)) as string;
    if (names.has(name)) {
      this.#at = start;
      this.#fail("a name stands twice in one object");
    }
    names.add(name);
  }

  #string(): void {
    this.#at += 1;
    do this.#skip(PLAIN);
    while (this.#skip(ESCAPE));
    if (this.#take('"')) return;
    if (this.#text[this.#at] === "\\") this.#fail("an escape in a string is none of JSON's");
    this.#fail(this.#at < this.#text.length ? "a control character stands in a string" : "a string has no end");
  }

  /** Whether anything matched; the position is after it. */
  #skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    const length = pattern.exec(this.#text)?.[0].length ?? 0;
    this.#at += length;
    return length > 0;
  }

  #take(character: string): boolean {
    const found = this.#text[this.#at] === character;
    if (found) this.#at += 1;
    return found;
  }

  #expect(character: string): void {
    if (!this.#take(character)) this.#fail(`expected ${character}, got ${this.#here()}`);
  }

  /** What stands here, without showing more than one character of it. */
  #here(): string {
    const point = this.#text.codePointAt(this.#at);
    if (point === undefined) return "the end";
    if (point > 0x20 && point < 0x7f) return `"${String.fromCodePoint(point)}"`;
    return `U+${point.toString(16).toUpperCase().padStart(4, "0")}`;
  }

  #fail(message: string): never {
    throw new Found(this.#at, message);
  }
}
