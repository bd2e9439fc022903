/** Short ASCII text out of bytes. The words of formats and catalogues come again and again: those are kept. */

/** The longest text that is kept: longer ones seldom come again. */
export const SHORT_TEXT_BYTES = 32;

/** A power of two. Each word has one place: what comes there later takes it. */
const PLACES = 1024;
const kept: string[] = Array.from({ length: PLACES }, () => "");

/** The text of `size` bytes, at most {@link SHORT_TEXT_BYTES}; `undefined` where they are not ASCII. */
export function shortText(bytes: Uint8Array, from: number, size: number): string | undefined {
  const place = placeOf(bytes, from, size);
  const known = kept[place] ?? "";
  if (known.length === size && isText(bytes, from, known)) return known;
  const text = decodeAscii(bytes, from, from + size);
  if (text !== undefined) kept[place] = text;
  return text;
}

function placeOf(bytes: Uint8Array, from: number, size: number): number {
  const last = from + size - 1;
  const sum = size * 37 + byteAt(bytes, from) * 5 + byteAt(bytes, last) * 101 + byteAt(bytes, last - 1) * 17;
  return sum % PLACES;
}

function isText(bytes: Uint8Array, from: number, text: string): boolean {
  for (let i = 0; i < text.length; i += 1) if (text.charCodeAt(i) !== bytes[from + i]) return false;
  return true;
}

/** Eight characters at a time: to add single ones makes a chain of strings that has to be joined later. */
function decodeAscii(bytes: Uint8Array, from: number, to: number): string | undefined {
  let text = "";
  let at = from;
  let units = 0;
  for (; at + 8 <= to; at += 8) {
    const [a, b, c, d] = [byteAt(bytes, at), byteAt(bytes, at + 1), byteAt(bytes, at + 2), byteAt(bytes, at + 3)];
    const [e, f, g, h] = [byteAt(bytes, at + 4), byteAt(bytes, at + 5), byteAt(bytes, at + 6), byteAt(bytes, at + 7)];
    units |= a | b | c | d | e | f | g | h;
    text += String.fromCharCode(a, b, c, d, e, f, g, h);
  }
  for (; at < to; at += 1) {
    const unit = byteAt(bytes, at);
    units |= unit;
    text += String.fromCharCode(unit);
  }
  return units < 0x80 ? text : undefined;
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}
