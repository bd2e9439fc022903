/**
 * Events as JSON, made before the clock starts; what differs from one request to the next is written over in place: ids
 * (UUIDv7, no two alike), times and actors, which all have one length.
 */
import { randomBytes, randomInt } from "node:crypto";
import { newEventId } from "@tallystick/events";

/** Who does something in the events that are sent: so many, so that chains are as long as a log's are. */
export const PERSONS = 1000;

const HEX = Buffer.from("0123456789abcdef", "latin1");
const ZERO = 48;

/** Gives each number below 2^32 once: a full period by Hull and Dobell's theorem. */
class Sequence {
  #state = randomInt(2 ** 32);

  next(): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#state;
  }
}

/** Shared by all requests of a process: what makes its ids differ. */
const sequence = new Sequence();

export interface JsonEvent {
  readonly text: string;
  /** Where in it the id, the time and the actor's number are. */
  readonly idAt: number;
  readonly timeAt: number;
  readonly actorAt: number;
}

/** One event of the kind that an application sends most: some 180 bytes. */
export function sampleEvent(): JsonEvent {
  const id = newEventId(Date.now(), new Uint8Array(randomBytes(16)));
  const time = String(Date.now());
  const before = `{"id":"`;
  const between = `","time":`;
  const then = `,"type":"auth.login","outcome":"success","actor":{"type":"user","id":"u_`;
  const text = `${before}${id}${between}${time}${then}000"},"source":{"ip":"203.0.113.7"},"auth":{"method":"password"}}`;
  const timeAt = before.length + id.length + between.length;
  return { text, idAt: before.length, timeAt, actorAt: timeAt + time.length + then.length };
}

/** The body of a request with so many events: one as an object, more as an array. */
export class JsonBody {
  readonly bytes: Buffer;
  readonly #starts: readonly number[];
  readonly #event: JsonEvent;

  constructor(eventsPerRequest: number) {
    this.#event = sampleEvent();
    const { text } = this.#event;
    const isArray = eventsPerRequest > 1;
    this.#starts = Array.from({ length: eventsPerRequest }, (_, at) => (isArray ? 1 : 0) + at * (text.length + 1));
    const texts = Array.from({ length: eventsPerRequest }, () => text).join(",");
    this.bytes = Buffer.from(isArray ? `[${texts}]` : texts, "latin1");
  }

  /** Makes new events of those in `target`, in which the body begins at `offset`. */
  renew(target: Buffer, offset: number): void {
    const now = Date.now();
    for (const start of this.#starts) {
      const at = offset + start;
      const next = sequence.next();
      writeId(target, at + this.#event.idAt, now, next);
      writeDecimal(target, at + this.#event.timeAt, now, 13);
      writeDecimal(target, at + this.#event.actorAt, next % PERSONS, 3);
    }
  }
}

/** Writes the time, and the number in the last 8 digits, where "-" stand after 8, 12, 16 and 20. RFC 9562 §5.7 */
function writeId(target: Buffer, at: number, nowMs: number, unique: number): void {
  const high = Math.floor(nowMs / 2 ** 16);
  writeHex(target, at, high, 8);
  writeHex(target, at + 9, nowMs % 2 ** 16, 4);
  writeHex(target, at + 28, unique, 8);
}

function writeHex(target: Buffer, at: number, value: number, digits: number): void {
  let left = value;
  for (let digit = at + digits - 1; digit >= at; digit -= 1) {
    target[digit] = HEX[left & 15] ?? 0;
    left >>>= 4;
  }
}

function writeDecimal(target: Buffer, at: number, value: number, digits: number): void {
  let left = value;
  for (let digit = at + digits - 1; digit >= at; digit -= 1) {
    const next = Math.floor(left / 10);
    target[digit] = ZERO + left - next * 10;
    left = next;
  }
}
