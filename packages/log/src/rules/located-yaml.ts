/**
 * YAML 1.2, and so JSON, as values that know where they stand.
 *
 * Only what a reader takes in at one look: one document of maps, lists and scalars. Anchors, aliases, tags, directives
 * and a key that stands there twice are refused, as each lets a text say something else than it seems to.
 */
import { quote } from "@tallystick/core";
import {
  CST,
  Lexer,
  LineCounter,
  type Node,
  type Pair,
  type Scalar,
  isMap,
  isScalar,
  isSeq,
  parseDocument,
} from "yaml";
import type { Place, RulesDefects } from "./defects.ts";

export type Located = LocatedScalar | LocatedMap | LocatedList;

export interface LocatedScalar {
  readonly kind: "scalar";
  readonly value: string | number | boolean | null;
  /** As it is written, without quotes. */
  readonly source: string;
  readonly place: Place;
}

export interface LocatedMap {
  readonly kind: "map";
  readonly members: ReadonlyMap<string, { readonly key: Place; readonly value: Located }>;
  readonly place: Place;
}

export interface LocatedList {
  readonly kind: "list";
  readonly items: readonly Located[];
  readonly place: Place;
}

/** A few hundred classes and a thousand keys take a tenth of it. */
export const RULES_BYTES_MAX: number = 256 * 1024;

/** Words and signs, spaces included. Parsing takes time with their number, and 10 µs for each at worst. */
const LEXEMES_MAX = 65_536;

/** Rules have 5 levels. */
const DEPTH_MAX = 16;

/**
 * Signs that cannot be seen, steer a terminal, or end a line in some programs and not in YAML: with them a comment looks
 * like a rule, or a rule like a comment. A mark of byte order may begin the text.
 */
const UNSEEN = new RegExp(
  String.raw`[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f]|\r(?!\n)|(?<!^)\ufeff`,
  "u",
);

const OPENING = new Set(["flow-seq-start", "flow-map-start"]);
const CLOSING = new Set(["flow-seq-end", "flow-map-end"]);

const REFUSED: Readonly<Record<string, string>> = {
  anchor: "an anchor (&) is not taken: write the value wherever it holds",
  alias: "an alias (*) is not taken: write the value itself; a text that begins with * needs quotes",
  tag: "a tag (!) is not taken: write the value alone; a text that begins with ! needs quotes",
  "directive-line": "a directive (%) is not taken: begin with version: 1",
};

/** The value that a text holds; `undefined` when there were defects that leave none. */
export function readLocatedYaml(text: string, defects: RulesDefects): Located | undefined {
  const lines = new LineCounter();
  if (!isWithinBounds(text, defects)) return undefined;
  const document = parseDocument(text, {
    lineCounter: lines,
    merge: false,
    prettyErrors: false,
    schema: "core",
    strict: true,
    uniqueKeys: false,
    version: "1.2",
  });
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  for (const { code, message, pos } of document.errors)
    defects.add(
      placeAt(pos[0]),
      "",
      code === "MULTIPLE_DOCS" ? "expected one document, got several" : inWords(message),
    );
  if (defects.any) return undefined;
  return locate(document.contents, { placeAt, defects, path: "", depth: 1 });
}

/** What the library says, as we say things: from its first sentence, lower-case. */
function inWords(message: string): string {
  const [sentence = ""] = message.split(/[\n\r]/, 1);
  return `expected YAML or JSON: ${sentence.slice(0, 1).toLowerCase()}${sentence.slice(1, 200)}`;
}

/** Checks, before anything is built, how large the text is and that it has only signs that are taken. */
function isWithinBounds(text: string, defects: RulesDefects): boolean {
  const start: Place = { line: 1, column: 1 };
  const bytes = Buffer.byteLength(text);
  if (bytes > RULES_BYTES_MAX) {
    defects.add(start, "", `expected at most ${RULES_BYTES_MAX} bytes, got ${bytes}`);
    return false;
  }
  if (!text.isWellFormed()) {
    defects.add(start, "", "expected text, got half a character (a lone surrogate)");
    return false;
  }
  const unseen = UNSEEN.exec(text);
  if (unseen !== null) {
    const lines = text.slice(0, unseen.index).split("\n");
    const code = text.charCodeAt(unseen.index).toString(16).toUpperCase().padStart(4, "0");
    const place = { line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 };
    defects.add(place, "", `a character that cannot be seen (U+${code}) is not taken, in comments neither`);
    return false;
  }
  let [lexemes, line, column, depth] = [0, 1, 1, 0];
  for (const lexeme of new Lexer().lex(text)) {
    lexemes += 1;
    if (lexemes > LEXEMES_MAX) {
      defects.add({ line, column }, "", `expected at most ${LEXEMES_MAX} words and signs, got more`);
      return false;
    }
    const type = CST.tokenType(lexeme);
    if (type !== null && OPENING.has(type)) depth += 1;
    if (type !== null && CLOSING.has(type)) depth -= 1;
    if (depth > DEPTH_MAX) {
      defects.add({ line, column }, "", `expected at most ${DEPTH_MAX} levels, got more`);
      return false;
    }
    const refusal = type === null || !Object.hasOwn(REFUSED, type) ? undefined : REFUSED[type];
    if (refusal !== undefined) defects.add({ line, column }, "", refusal);
    // These stand for no character of the text.
    if (type === "doc-mode" || type === "flow-error-end" || type === "scalar") continue;
    const ends = lexeme.split("\n");
    line += ends.length - 1;
    column = (ends.length > 1 ? 1 : column) + (ends.at(-1)?.length ?? 0);
  }
  return !defects.any;
}

interface Surroundings {
  readonly placeAt: (offset: number) => Place;
  readonly defects: RulesDefects;
  readonly path: string;
  readonly depth: number;
  /** Where a value would stand that is not there. */
  readonly otherwise?: Place;
}

function locate(node: unknown, surroundings: Surroundings): Located | undefined {
  const { placeAt, defects, path, depth, otherwise } = surroundings;
  const offset = (node as Partial<Node> | null)?.range?.[0];
  const place = offset === undefined ? (otherwise ?? { line: 1, column: 1 }) : placeAt(offset);
  if (depth > DEPTH_MAX) {
    defects.add(place, path, `expected at most ${DEPTH_MAX} levels, got more`);
    return undefined;
  }
  if (isMap(node)) return locateMap(node.items, place, surroundings);
  if (isSeq(node)) {
    const items = node.items.map((item, at) =>
      locate(item, { ...surroundings, path: `${path}[${at}]`, depth: depth + 1, otherwise: place }),
    );
    return { kind: "list", items: items.filter((item) => item !== undefined), place };
  }
  return locateScalar(isScalar(node) ? node : undefined, place);
}

function locateScalar(node: Scalar | undefined, place: Place): LocatedScalar {
  const value = node?.value;
  const source = node?.source ?? "";
  const isPlain = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
  return { kind: "scalar", value: isPlain ? value : null, source, place };
}

function locateMap(pairs: readonly Pair[], place: Place, surroundings: Surroundings): LocatedMap {
  const { placeAt, defects, path, depth } = surroundings;
  const members = new Map<string, { readonly key: Place; readonly value: Located }>();
  for (const { key, value } of pairs) {
    const offset = (key as Partial<Node> | null)?.range?.[0];
    const keyPlace = offset === undefined ? place : placeAt(offset);
    if (!isScalar(key) || typeof key.value !== "string") {
      const got = isScalar(key) ? `${quote(key.source ?? "")}: put it in quotes` : "a list or a map";
      defects.add(keyPlace, path, `expected a text as key, got ${got}`);
      continue;
    }
    const below = joinPath(path, key.value);
    const earlier = members.get(key.value);
    if (earlier !== undefined) {
      defects.add(keyPlace, below, `stands on line ${earlier.key.line} already: keep one of the two`);
      continue;
    }
    const located = locate(value, { ...surroundings, path: below, depth: depth + 1, otherwise: keyPlace });
    if (located !== undefined) members.set(key.value, { key: keyPlace, value: located });
  }
  return { kind: "map", members, place };
}

/** `classes.auth`, and `classes["a b"]` where a name could be taken for a path. */
export function joinPath(path: string, name: string): string {
  if (!/^[\w-]{1,64}$/.test(name)) return `${path}[${quote(name)}]`;
  return path === "" ? name : `${path}.${name}`;
}
