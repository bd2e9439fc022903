/** Cutting context that is too long: what it begins with stays, a mark says how long it was, and nothing is lost in silence. */
import { utf8 } from "@tallystick/core";
import { CONTEXT_LIMITS, type Context, type ContextValue } from "@tallystick/events";

/** The name of the mark: `{"_cut": {"bytes": 20480}}`, the length of the whole in JSON. */
export const CUT_MARK = "_cut";
/** What the mark itself takes. */
const MARK_BYTES = 40;
const ELLIPSIS = "…";

/** The same object where it is within `bytesMax` of JSON, or is none of JSON at all. */
export function cutContext(context: Context | undefined, bytesMax: number): Context | undefined {
  const bytes = jsonBytes(context);
  if (context === undefined || bytes === undefined || bytes <= bytesMax) return context;
  const room = { left: bytesMax - MARK_BYTES };
  return { ...cutMap(context, room, CONTEXT_LIMITS.membersMax - 1), [CUT_MARK]: { bytes } };
}

interface Room {
  left: number;
}

function cutMap(map: Context, room: Room, membersMax: number = CONTEXT_LIMITS.membersMax): Context {
  const kept: Record<string, ContextValue> = {};
  for (const [key, value] of Object.entries(map).slice(0, membersMax)) {
    // Quotes, colon and comma.
    room.left -= (jsonBytes(key) ?? 0) + 2;
    const cut = cutValue(value, room);
    if (cut === undefined) break;
    kept[key] = cut;
  }
  return kept;
}

/** What of a value there is room for; `undefined` for nothing. */
function cutValue(value: ContextValue, room: Room): ContextValue | undefined {
  const bytes = jsonBytes(value) ?? Infinity;
  if (bytes + 1 <= room.left && hasRightCounts(value)) {
    room.left -= bytes + 1;
    return value;
  }
  const left = room.left;
  if (typeof value === "string") {
    room.left = 0;
    return cutText(value, left);
  }
  if (typeof value !== "object" || value === null || left < ELLIPSIS.length) return undefined;
  room.left -= 2;
  return Array.isArray(value) ? cutList(value, room) : cutMap(value as Context, room);
}

function cutList(values: readonly ContextValue[], room: Room): ContextValue[] {
  const kept: ContextValue[] = [];
  for (const value of values.slice(0, CONTEXT_LIMITS.listMax)) {
    const cut = cutValue(value, room);
    if (cut === undefined) break;
    kept.push(cut);
  }
  return kept;
}

/** Whether nothing in it has more entries than an event takes. */
function hasRightCounts(value: ContextValue): boolean {
  if (typeof value !== "object" || value === null) return true;
  const values: readonly ContextValue[] = Object.values(value);
  const max = Array.isArray(value) ? CONTEXT_LIMITS.listMax : CONTEXT_LIMITS.membersMax;
  return values.length <= max && values.every(hasRightCounts);
}

/** The longest beginning of a text that fits with an ellipsis; no half of a surrogate pair. */
function cutText(text: string, bytesMax: number): string | undefined {
  let [low, high] = [0, Math.min(text.length, Math.max(0, bytesMax))];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((jsonBytes(beginning(text, middle)) ?? Infinity) <= bytesMax) low = middle;
    else high = middle - 1;
  }
  return low === 0 ? undefined : beginning(text, low);
}

function beginning(text: string, chars: number): string {
  const end = /[\uD800-\uDBFF]/.test(text.charAt(chars - 1)) ? chars - 1 : chars;
  return `${text.slice(0, end)}${ELLIPSIS}`;
}

/** Bytes of the JSON of a value; `undefined` for what has none, which is refused elsewhere. */
function jsonBytes(value: unknown): number | undefined {
  try {
    const text = JSON.stringify(value) as string | undefined;
    return text === undefined ? undefined : utf8(text).length;
  } catch {
    return undefined;
  }
}
