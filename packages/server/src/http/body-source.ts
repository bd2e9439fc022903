/** Bodies of requests on their way from a connection to whoever reads them. */

/** Where a body comes from. */
export interface BodySource {
  /** By its Content-Length; `undefined` where the body comes in chunks, and nothing says how long it will be. */
  readonly announcedBytes: number | undefined;
  /** Sends the body to `sink`, once. Gives what stops it. */
  sendTo(sink: BodySink): () => void;
}

/** Hears of each part in order, and then of the end or of a failure. What comes after that is ignored. */
export interface BodySink {
  /** A promise holds up what is to come: no further part before it is kept. */
  part(bytes: Uint8Array): Promise<void> | undefined;
  end(): void;
  fail(cause: unknown): void;
}

/**
 * Bodies of up to these bytes count whole from the start, so it must not be much that a client can claim without
 * sending it. They may be read in one go, and before anybody asked for them.
 */
const SMALL_BYTES_MAX = 16_384;

/** Whether a body is announced to be small. */
export function isSmall(announcedBytes: number | undefined): announcedBytes is number {
  return announcedBytes !== undefined && announcedBytes <= SMALL_BYTES_MAX;
}

/** Of a Content-Length. */
export function parseContentLength(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
