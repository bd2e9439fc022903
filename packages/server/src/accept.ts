/** Which form of an answer a client takes. RFC 9110 §12.5.1 */
import { ServerError } from "./error.ts";

export type Format = "json" | "cbor";

const TYPES: Readonly<Record<Format, string>> = { json: "application/json", cbor: "application/cbor" };

interface Range {
  readonly type: string;
  readonly quality: number;
}

/** JSON, unless CBOR is liked better. @throws {ServerError} `not-acceptable`: neither will do. */
export function acceptedFormat(accept: string | undefined): Format {
  if (accept === undefined || accept.trim() === "") return "json";
  const ranges = accept.split(",").map(parseRange);
  const [json, cbor] = [qualityOf(TYPES.json, ranges), qualityOf(TYPES.cbor, ranges)];
  if (json === 0 && cbor === 0)
    throw new ServerError("not-acceptable", `expected Accept to allow ${TYPES.json} or ${TYPES.cbor}`);
  if (json !== cbor) return json > cbor ? "json" : "cbor";
  // Liked alike: the first that is named.
  return ranges.find(({ type }) => type === TYPES.json || type === TYPES.cbor)?.type === TYPES.cbor ? "cbor" : "json";
}

function parseRange(text: string): Range {
  const [type = "", ...parameters] = text.split(";").map((part) => part.trim().toLowerCase());
  const weight = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2);
  const quality = weight === undefined ? 1 : Number(weight);
  return { type, quality: quality >= 0 && quality <= 1 ? quality : 0 };
}

/** That of the most specific range that matches. */
function qualityOf(type: string, ranges: readonly Range[]): number {
  for (const candidate of [type, `${type.split("/", 1)[0]}/*`, "*/*"]) {
    const range = ranges.find((each) => each.type === candidate);
    if (range !== undefined) return range.quality;
  }
  return 0;
}
