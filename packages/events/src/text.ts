/** Text on one line: well-formed, and without characters that would end the line or move a cursor. */

/** Control characters, line and paragraph separators, lone surrogates. */
const NOT_TEXT = "\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029\\ud800-\\udfff";

/**
 * The source of a pattern for 1 to `charsMax` characters of such text, for the flag `u`.
 *
 * It counts characters, not UTF-16 units, as JSON Schema does, and escapes what other dialects know under other names.
 */
export function textPattern(charsMax: number): string {
  return `^[^${NOT_TEXT}]{1,${charsMax}}$`;
}

const SUSPECT = new RegExp(`[${NOT_TEXT}]`);
const patterns = new Map<number, RegExp>();

/** Whether all of `text` matches {@link textPattern}: told of most text without counting its characters. */
export function isTextOf(text: string, charsMax: number): boolean {
  if (text.length <= charsMax && !SUSPECT.test(text)) return text.length > 0;
  const pattern = patterns.get(charsMax) ?? new RegExp(textPattern(charsMax), "u");
  patterns.set(charsMax, pattern);
  return pattern.test(text);
}
