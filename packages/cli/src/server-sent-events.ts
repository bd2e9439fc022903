/** An event stream, read as it comes: HTML living standard, "server-sent events", as far as a log uses it. */

export interface ServerSentEvent {
  readonly event: string;
  readonly data: string;
}

/** An event is at most an entry with its contents, 32 KiB, or a head with many signatures. */
const EVENT_CHARS_MAX = 1_048_576;

/**
 * The events of a stream. Comments, by which a server shows that it is still there, are passed over.
 *
 * @param onSign - called whenever anything arrives.
 * @throws {Error} an event without an end.
 */
export async function* serverSentEvents(
  body: AsyncIterable<Uint8Array>,
  onSign: () => void = () => undefined,
): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  let buffered = "";
  for await (const part of body) {
    onSign();
    buffered += decoder.decode(part, { stream: true });
    const blocks = buffered.split("\n\n");
    buffered = blocks.pop() ?? "";
    if (buffered.length > EVENT_CHARS_MAX) throw new Error("the log sends an event without an end");
    for (const block of blocks) {
      const [event, data] = [fieldOf(block, "event"), fieldOf(block, "data")];
      if (event !== undefined && data !== undefined) yield { event, data };
    }
  }
}

function fieldOf(block: string, name: string): string | undefined {
  const line = block.split("\n").find((text) => text.startsWith(`${name}: `));
  return line?.slice(name.length + 2);
}
