/** Text of others on one's own terminal. */

/** What moves a cursor, changes what was shown before, ends a line, or turns the direction of reading. */
const STEERING = /[\p{Cc}\u2028\u2029\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu;

/** The same text on one line, with escapes in place of everything that steers a terminal. */
export function printable(text: string): string {
  return text.toWellFormed().replaceAll(STEERING, (character) => `\\u{${hexOf(character)}}`);
}

/** Several lines: their ends stay, everything else that steers becomes escapes. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

/** The same JSON value in other words: JSON leaves as they are what a terminal takes for commands. */
export function printableJson(json: string): string {
  return json.replaceAll(STEERING, (character) => `\\u${hexOf(character).padStart(4, "0")}`);
}

function hexOf(character: string): string {
  return (character.codePointAt(0) ?? 0).toString(16);
}
