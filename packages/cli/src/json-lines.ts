/** Lines of JSON from a log, read as they come. */
import { malformed } from "./log-answer.ts";

/** An entry with its contents and its receipt, post-quantum signatures included, has less. */
const LINE_CHARS_MAX = 1_048_576;

/**
 * The lines of a stream.
 *
 * @throws {ClientError} `log-answer-malformed`: one without an end, or bytes that are no text.
 */
export async function* jsonLines(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const textOf = decoding();
  let rest = "";
  for await (const part of body) {
    const lines = (rest + textOf(part)).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LINE_CHARS_MAX) throw malformed(`expected lines of at most ${LINE_CHARS_MAX} characters`);
    yield* lines;
  }
  if (rest !== "") throw malformed("it was cut off");
}

/** Parts of one text, whose ends may lie within a character. */
function decoding(): (part: Uint8Array) => string {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  return (part) => {
    try {
      return decoder.decode(part, { stream: true });
    } catch (cause) {
      throw malformed("expected UTF-8", cause);
    }
  };
}
