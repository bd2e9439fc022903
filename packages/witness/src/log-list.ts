/** Lists of logs in the format `logs/v0`, in which the public witness network tells witnesses which logs there are. */
import { parseVkey, quote } from "@tallystick/core";
import { WitnessError, messageOf } from "./error.ts";

/** One log of a list. */
export interface ListedLogOffer {
  readonly vkey: string;
  /** The name of the key, unless the list says otherwise. */
  readonly origin: string;
  /** How many requests a day the log may make. */
  readonly qpd: number;
  readonly contact?: string;
}

const HEADER = "logs/v0";
const LINES_MAX = 100_000;

interface Draft {
  readonly line: number;
  readonly vkey: string;
  origin?: string;
  qpd?: number;
  contact?: string;
}

/**
 * Parses a list of logs.
 *
 * The format is still being drafted: of its fields `vkey` comes first and `qpd` is required, `origin` and `contact` may be
 * missing, and none may come twice.
 *
 * @throws {WitnessError} `log-list-malformed`, naming the line.
 */
export function parseLogList(text: string): ListedLogOffer[] {
  const lines = text.split("\n");
  if (lines.length > LINES_MAX) throw new WitnessError("log-list-malformed", `more than ${LINES_MAX} lines`);
  const drafts: Draft[] = [];
  let headed = false;
  for (const [index, raw] of lines.entries()) {
    const line = raw.replaceAll(/^[ \t]+|[ \t]+$/g, "");
    if (line === "" || line.startsWith("#")) continue;
    if (headed) readField(line, index + 1, drafts);
    else if (line !== HEADER) throw malformed(index + 1, `expected ${quote(HEADER)}, got ${quote(line)}`);
    headed = true;
  }
  if (!headed) throw malformed(lines.length, `expected ${quote(HEADER)}`);
  return drafts.map(completeDraft);
}

function readField(text: string, line: number, drafts: Draft[]): void {
  const space = text.indexOf(" ");
  const [keyword, value] = space < 0 ? [text, ""] : [text.slice(0, space), text.slice(space + 1)];
  if (value === "") throw malformed(line, `expected a value behind ${quote(keyword)}`);
  if (keyword === "vkey") {
    drafts.push({ line, vkey: value });
    return;
  }
  const draft = drafts.at(-1);
  if (draft === undefined) throw malformed(line, `expected "vkey" first, got ${quote(keyword)}`);
  setField(draft, keyword, { value, line });
}

function setField(
  draft: Draft,
  keyword: string,
  { value, line }: { readonly value: string; readonly line: number },
): void {
  if (keyword !== "origin" && keyword !== "qpd" && keyword !== "contact") {
    throw malformed(line, `unknown keyword ${quote(keyword)}`);
  }
  if (draft[keyword] !== undefined) throw malformed(line, `${keyword} twice for one log`);
  if (keyword === "qpd") draft.qpd = parseQpd(value, line);
  else draft[keyword] = value;
}

function parseQpd(value: string, line: number): number {
  const qpd = Number(value);
  if (!Number.isSafeInteger(qpd) || String(qpd) !== value || qpd < 0) {
    throw malformed(line, `expected the number of requests a day, got ${quote(value)}`);
  }
  return qpd;
}

function completeDraft({ line, vkey, origin, qpd, contact }: Draft): ListedLogOffer {
  if (qpd === undefined) throw malformed(line, "this log has no qpd");
  return { vkey, origin: origin ?? nameOf(vkey, line), qpd, ...(contact === undefined ? {} : { contact }) };
}

function nameOf(vkey: string, line: number): string {
  try {
    return parseVkey(vkey).name;
  } catch (cause) {
    throw new WitnessError("log-list-malformed", `line ${line}: ${messageOf(cause)}`, { details: { line }, cause });
  }
}

function malformed(line: number, what: string): WitnessError {
  return new WitnessError("log-list-malformed", `line ${line}: ${what}`, { details: { line } });
}
