/** Text of others on one's own terminal. */

/** What moves a cursor, changes what was shown before, or turns the direction of reading. */
const STEERING = /[\p{Cc}\u2028\u2029\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu;

/** What styleText() of node:util writes: it changes how text looks, and nothing else. */
const STYLE = new RegExp(`(${String.fromCharCode(27)}\\[\\d{1,2}m)`);

/** The same text, with escapes in place of everything that steers a terminal, line ends too. */
export function printable(text: string): string {
  return text.toWellFormed().replaceAll(STEERING, escape);
}

/** Several lines, perhaps styled: their ends and styles stay, everything else that steers becomes escapes. */
export function printableLines(text: string): string {
  return text.split("\n").map(printableLine).join("\n");
}

function printableLine(line: string): string {
  // Of what split() gives, every second part is a style.
  return line
    .split(STYLE)
    .map((part, at) => (at % 2 === 1 ? part : printable(part)))
    .join("");
}

function escape(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
