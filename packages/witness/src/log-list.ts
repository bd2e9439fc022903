/**
 * Lists of logs in the format `logs/v0`, in which the public witness network tells witnesses which logs there are.
 * witness-network.org/log-list-format
 *
 * A list is not the configuration: it makes logs known, and says of each how many requests a day it may make.
 */
import { readFile, stat } from "node:fs/promises";
import { TallystickError, decodeUtf8, parseVkey, quote } from "@tallystick/core";
import { WitnessError, messageOf } from "./error.ts";

/** One log of a list. */
export interface ListedLogOffer {
  readonly vkey: string;
  /** The name of the key, unless the list says otherwise. */
  readonly origin: string;
  /** How many requests a day the log may make: 1 to 2^31 - 1. */
  readonly qpd: number;
  /** How people reach the log's operator. */
  readonly contact?: string;
}

const HEADER = "logs/v0";
/** The largest lists that the network plans have 40,000 logs, of five lines and some 300 bytes each. */
const LINES_MAX = 1_000_000;
const BYTES_MAX = 64 * 1024 * 1024;
/** As the format has it. */
export const QPD_MAX: number = 2 ** 31 - 1;

/** The fields of a log in the only order that they may come in. */
const FIELDS = ["vkey", "origin", "qpd", "contact"] as const;
type Field = (typeof FIELDS)[number];

interface Draft {
  readonly line: number;
  readonly vkey: string;
  origin: string;
  qpd?: number;
  contact?: string;
  /** The field that came last. */
  last: Field;
}

/**
 * Parses a list of logs.
 *
 * Keys must be verifier keys; whether they are those of logs is for whoever takes them up. The format asks for a contact,
 * and the network's other readers do without, as we do.
 *
 * @throws {WitnessError} `log-list-malformed`, naming the line.
 */
export function parseLogList(text: string): ListedLogOffer[] {
  const lines = text.split("\n");
  if (lines.length > LINES_MAX) throw new WitnessError("log-list-malformed", `more than ${LINES_MAX} lines`);
  const drafts: Draft[] = [];
  let headed = false;
  for (const [index, raw] of lines.entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    if (headed) readField(line, index + 1, drafts);
    else if (line !== HEADER) throw malformed(index + 1, `expected ${quote(HEADER)}, got ${quote(line)}`);
    headed = true;
  }
  if (!headed) throw malformed(lines.length, `expected ${quote(HEADER)}`);
  return drafts.map(completeDraft);
}

/**
 * Reads a list of logs from a file.
 *
 * @throws {WitnessError} `log-list-missing`: it cannot be read. `log-list-malformed`. Both name the file.
 */
export async function readLogList(path: string): Promise<ListedLogOffer[]> {
  const bytes = await readBounded(path);
  try {
    return parseLogList(decodeUtf8(bytes));
  } catch (cause) {
    if (!(cause instanceof TallystickError)) throw cause;
    throw new WitnessError("log-list-malformed", `${path}: ${messageOf(cause)}`, { details: { path }, cause });
  }
}

async function readBounded(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size > BYTES_MAX) throw new Error(`it has ${size} bytes, expected at most ${BYTES_MAX}`);
    return await readFile(path);
  } catch (cause) {
    const message = `${path} cannot be read: ${messageOf(cause)}`;
    throw new WitnessError("log-list-missing", message, { details: { path }, cause });
  }
}

function readField(text: string, line: number, drafts: Draft[]): void {
  const space = text.indexOf(" ");
  const [keyword, value] = space < 0 ? [text, ""] : [text.slice(0, space), text.slice(space + 1)];
  const field = FIELDS.find((each) => each === keyword);
  if (field === undefined) throw malformed(line, `unknown keyword ${quote(keyword)}`);
  if (value === "") throw malformed(line, `expected a value behind ${quote(keyword)}`);
  if (field === "vkey") {
    drafts.push({ line, vkey: value, origin: nameOf(value, line), last: field });
    return;
  }
  const draft = drafts.at(-1);
  if (draft === undefined) throw malformed(line, `expected "vkey" first, got ${quote(keyword)}`);
  if (FIELDS.indexOf(field) <= FIELDS.indexOf(draft.last)) {
    throw malformed(line, `${quote(field)} behind ${quote(draft.last)}, expected the order ${FIELDS.join(", ")}`);
  }
  if (field === "qpd") draft.qpd = parseQpd(value, line);
  else draft[field] = value;
  draft.last = field;
}

function parseQpd(value: string, line: number): number {
  const qpd = Number(value);
  if (!Number.isSafeInteger(qpd) || String(qpd) !== value || qpd < 1 || qpd > QPD_MAX) {
    throw malformed(line, `expected the number of requests a day, 1 to ${QPD_MAX}, got ${quote(value)}`);
  }
  return qpd;
}

function completeDraft({ line, vkey, origin, qpd, contact }: Draft): ListedLogOffer {
  if (qpd === undefined) throw malformed(line, "this log has no qpd");
  return { vkey, origin, qpd, ...(contact === undefined ? {} : { contact }) };
}

function nameOf(vkey: string, line: number): string {
  try {
    return parseVkey(vkey).name;
  } catch (cause) {
    throw malformed(line, messageOf(cause), cause);
  }
}

function malformed(line: number, what: string, cause?: unknown): WitnessError {
  return new WitnessError("log-list-malformed", `line ${line}: ${what}`, { details: { line }, cause });
}
