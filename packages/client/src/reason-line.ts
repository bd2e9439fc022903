/** A reason as an event can have it: one line, and not too long. */

const REASON_CHARS_MAX = 1000;

/** `undefined` where nothing is left. */
export function reasonLine(text: string): string | undefined {
  const line = text
    .toWellFormed()
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ")
    .trim();
  return line === "" ? undefined : line.slice(0, REASON_CHARS_MAX).toWellFormed();
}
