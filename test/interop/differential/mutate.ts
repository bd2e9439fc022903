/** Ways of altering an input: bit by bit, line by line, and where a format's parsers are likely to differ. */
import { BASE64_DIGITS } from "./octets.ts";
import type { Random } from "./random.ts";

/** What one format's inputs are altered with. */
export interface Material {
  /** Other inputs of the format, as octets: to take lines and pieces from. */
  readonly others: readonly string[];
  /** Pieces to put in. */
  readonly words: readonly string[];
}

type Mutator = (octets: string, random: Random, material: Material) => string;

/** Alters octets once to four times; in one of eight cases not at all. */
export function mutate(octets: string, random: Random, material: Material): string {
  let altered = octets;
  if (random.oneIn(8)) return altered;
  do altered = random.pick(MUTATORS)(altered, random, material);
  while (random.oneIn(3));
  return altered;
}

const flipBit: Mutator = (octets, random) => {
  if (octets === "") return octets;
  const at = random.below(octets.length);
  return replaceAt(octets, at, 1, String.fromCharCode(octets.charCodeAt(at) ^ (1 << random.below(8))));
};

const setOctet: Mutator = (octets, random) =>
  replaceAt(octets, random.below(octets.length + 1), 1, String.fromCharCode(random.below(256)));

const cutRange: Mutator = (octets, random) =>
  replaceAt(octets, random.below(octets.length + 1), 1 + random.below(8), "");

const repeatRange: Mutator = (octets, random) => {
  const at = random.below(octets.length + 1);
  const piece = octets.slice(at, at + 1 + random.below(48));
  return replaceAt(octets, at, 0, piece);
};

const truncate: Mutator = (octets, random) => octets.slice(0, random.below(octets.length + 1));

const insertWord: Mutator = (octets, random, { words }) =>
  replaceAt(octets, random.below(octets.length + 1), 0, random.pick(random.oneIn(2) ? words : COMMON_WORDS));

/** Puts a word before, after or in place of another one: where parsers look. */
const alterToken: Mutator = (octets, random, { words }) => {
  const word = random.pick(random.oneIn(2) ? words : COMMON_WORDS);
  return alterMatch(octets, random, /[^\s/+.]+/g, (token) => random.pick([`${word}${token}`, `${token}${word}`, word]));
};

const alterSpace: Mutator = (octets, random) => alterMatch(octets, random, /[ \n/+]/g, () => random.pick(SPACES));

const alterNumber: Mutator = (octets, random) =>
  alterMatch(octets, random, /\d+/g, (digits) => random.pick(NUMBER_FORMS)(digits, random));

const alterBase64: Mutator = (octets, random) =>
  alterMatch(octets, random, /[A-Za-z0-9+/]{6,}={0,2}/g, (digits) => random.pick(BASE64_FORMS)(digits, random));

const changeCase: Mutator = (octets, random) =>
  alterMatch(octets, random, /[A-Za-z]+/g, (word) => (random.oneIn(2) ? word.toUpperCase() : word.toLowerCase()));

const dropLine: Mutator = (octets, random) => alterLines(octets, random, (lines, at) => lines.toSpliced(at, 1));

const repeatLine: Mutator = (octets, random) =>
  alterLines(octets, random, (lines, at) => lines.toSpliced(random.below(lines.length + 1), 0, lines[at] ?? ""));

const moveLine: Mutator = (octets, random) =>
  alterLines(octets, random, (lines, at) =>
    lines.toSpliced(at, 1).toSpliced(random.below(lines.length), 0, lines[at] ?? ""),
  );

const takeLine: Mutator = (octets, random, { others }) => {
  const theirs = random.pick(others).split("\n");
  return alterLines(octets, random, (lines, at) => lines.toSpliced(at, random.below(2), random.pick(theirs)));
};

const joinHalves: Mutator = (octets, random, { others }) => {
  const other = random.pick(others);
  return octets.slice(0, random.below(octets.length + 1)) + other.slice(random.below(other.length + 1));
};

const MUTATORS: readonly Mutator[] = [
  flipBit,
  setOctet,
  cutRange,
  repeatRange,
  truncate,
  insertWord,
  alterToken,
  alterToken,
  alterToken,
  alterSpace,
  alterNumber,
  alterNumber,
  alterBase64,
  alterBase64,
  changeCase,
  dropLine,
  repeatLine,
  moveLine,
  takeLine,
  joinHalves,
];

/** In UTF-8: no-break space, next line, ogham space, en quad, zero width space, line separator, ideographic space, BOM. */
const SPACES: readonly string[] = [
  "",
  " ",
  "  ",
  "\t",
  "\n",
  "\n\n",
  "\r\n",
  "\r",
  "\v",
  "\f",
  "\0",
  "\u007f",
  "\u00c2\u00a0",
  "\u00c2\u0085",
  "\u00e1\u009a\u0080",
  "\u00e2\u0080\u0080",
  "\u00e2\u0080\u008b",
  "\u00e2\u0080\u00a8",
  "\u00e3\u0080\u0080",
  "\u00ef\u00bb\u00bf",
];

/** With octets that are no UTF-8: alone, overlong, a surrogate, above U+10FFFF, cut off. */
const COMMON_WORDS: readonly string[] = [
  ...SPACES,
  "+",
  "/",
  "=",
  "-",
  "0",
  "1",
  "#",
  ".",
  "\u001f",
  "\u00ff",
  "\u00c0\u0080",
  "\u00ed\u00a0\u0080",
  "\u00f4\u0090\u0080\u0080",
  "\u00e2\u0080",
  "\u00c3\u00a9",
];

const NUMBERS: readonly string[] = [
  "0",
  "00",
  "1",
  "2",
  "255",
  "256",
  "4294967296",
  "9007199254740993",
  "9223372036854775807",
  "9223372036854775808",
  "18446744073709551615",
  "18446744073709551616",
  "340282366920938463463374607431768211456",
];

type Form = (text: string, random: Random) => string;

const NUMBER_FORMS: readonly Form[] = [
  (digits) => `0${digits}`,
  (digits) => String(BigInt(digits) + 1n),
  (digits) => String(BigInt(digits) - 1n),
  (digits, random) => String(BigInt(digits) ^ (1n << BigInt(random.below(64)))),
  (_, random) => random.pick(NUMBERS),
  (_, random) => random.pick(NUMBERS),
  (digits, random) => random.pick(["+", "-", "0x", " ", "1_"]) + digits,
  (digits, random) => digits + random.pick([" ", "e1", ".0", "_0", "\u00d9\u00a3"]),
];

const BASE64_FORMS: readonly Form[] = [
  // Another last digit before the padding: its low bits belong to no byte.
  (text, random) => text.replace(/[^=](?==*$)/, (digit) => nearbyDigit(digit, random)),
  (text, random) => text.replace(/[^=](?==*$)/, (digit) => nearbyDigit(digit, random)),
  (text) => text.replace(/=+$/, ""),
  (text) => `${text}=`,
  (text) => text.replaceAll("+", "-").replaceAll("/", "_"),
  (text) => text.slice(0, -4),
  (text, random) => text.slice(4 * random.below(3)),
  (text) => `AAAA${text}`,
  (text, random) =>
    replaceAt(text, random.below(text.length + 1), 0, random.pick(["\r", "\n", "\r\n", " ", "=", "AAAA"])),
  (text, random) => replaceAt(text, random.below(text.length + 1), 1, BASE64_DIGITS.charAt(random.below(64))),
];

/** A digit that differs in its low bits only. */
function nearbyDigit(digit: string, random: Random): string {
  const value = BASE64_DIGITS.indexOf(digit);
  return BASE64_DIGITS[value ^ (1 + random.below(15))] ?? digit;
}

function replaceAt(octets: string, at: number, count: number, piece: string): string {
  return octets.slice(0, at) + piece + octets.slice(at + count);
}

function alterMatch(octets: string, random: Random, pattern: RegExp, alter: (match: string) => string): string {
  const matches = [...octets.matchAll(pattern)];
  if (matches.length === 0) return octets;
  const { index, 0: found } = random.pick(matches);
  return replaceAt(octets, index, found.length, alter(found));
}

function alterLines(octets: string, random: Random, alter: (lines: string[], at: number) => string[]): string {
  const lines = octets.split("\n");
  return alter(lines, random.below(lines.length)).join("\n");
}
