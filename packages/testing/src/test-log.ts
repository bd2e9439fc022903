/**
 * A log in memory behind a `fetch`: the library and the HTTP application that a server runs, with real leaves, sealing,
 * tree and signed heads. What it lacks is a disk, a socket, and witnesses: heads are published without a quorum.
 */
import { randomBytes } from "node:crypto";
import { type Signer, createSigner, formatPolicy } from "@tallystick/core";
import { BATCH_MEDIA_TYPE, type EventJson, decodeBatch, decodeEvent, eventToJson } from "@tallystick/events";
import { type Log, openLog } from "@tallystick/log";
import { createServerApp } from "@tallystick/server";
import { type KeyStore, type LogStorage, createMemoryKeyStore, createMemoryStorage } from "@tallystick/storage";

const NAME = "app";
const ORIGIN = "test.localhost/app";
/** A log stops where its clock runs ahead by five minutes: a test's clock does, and somebody has to say that it is right. */
const CLOCK_STEP_MAX_MS = 240_000;
/** Between two heads: a test that waits for a proof should not wait long. */
const PUBLISH_INTERVAL_MS = 10;

type Fetch = typeof globalThis.fetch;

/** An event that the log has durably, as it was sent. */
export interface TestEntry {
  readonly index: number;
  readonly event: EventJson;
}

export class TestLog {
  readonly origin: string = ORIGIN;
  readonly url: string = `https://test.localhost/${NAME}`;
  /** A writer's. */
  readonly token: string = `tsk_writer_${randomBytes(32).toString("base64url")}`;
  /** Trusts this log, and asks for no witness. */
  readonly policy: string;
  readonly #signer: Signer = createSigner({ name: ORIGIN, type: "ed25519", seed: fresh() });
  readonly #now: () => number;
  readonly #storage: LogStorage = createMemoryStorage();
  readonly #keyStore: KeyStore = createMemoryKeyStore();
  readonly #senderSeed: Uint8Array = fresh();
  readonly #entries: TestEntry[] = [];
  #ready: Promise<Opened>;
  /** By how much the test's clock was ahead of one that nobody sets, when the log was opened. */
  #offset: number;
  #connected = true;

  /** @param now - In ms since 1970. */
  constructor(now: () => number) {
    this.#now = now;
    this.#offset = now() - performance.now();
    this.policy = formatPolicy({ logs: [{ vkey: this.#signer.vkey }], witnesses: [], quorum: "none" });
    this.#ready = this.#open();
    // Whoever asks it for something sees why it is not there.
    this.#ready.catch(() => undefined);
  }

  /** What applications reported, in the order of the log. */
  get entries(): readonly TestEntry[] {
    return this.#entries;
  }

  /** The log behind it, for what a test wants to know besides. */
  async log(): Promise<Log> {
    return (await this.#atTime()).log;
  }

  /** From now on nobody reaches the log, until {@link reconnect}. */
  disconnect(): void {
    this.#connected = false;
  }

  reconnect(): void {
    this.#connected = true;
  }

  readonly fetch: Fetch = async (input, init) => {
    const request = new Request(input, init);
    if (!this.#connected) throw new TypeError("fetch failed", { cause: new Error("the test log is disconnected") });
    const { app } = await this.#atTime();
    const sent =
      request.headers.get("content-type") === BATCH_MEDIA_TYPE ? await request.clone().arrayBuffer() : undefined;
    const response = await app.fetch(request);
    // Only what was taken for the first time: the same batch again is answered with 200.
    if (sent !== undefined && response.status === 201) await this.#note(new Uint8Array(sent), response.clone());
    return response;
  };

  async close(): Promise<void> {
    const opened = await this.#ready.catch(() => undefined);
    await opened?.log.close();
  }

  async #note(batch: Uint8Array, response: Response): Promise<void> {
    const { entries } = (await response.json()) as { readonly entries: readonly { readonly index: number }[] };
    for (const [at, { event }] of decodeBatch(batch).entries.entries()) {
      const json = eventToJson(decodeEvent(event));
      const index = entries[at]?.index;
      if (index !== undefined && !json.type.startsWith("stream.")) this.#entries.push({ index, event: json });
    }
  }

  /** The log; opened anew, on what it has, where the test has set the clock: a log that runs would not believe it. */
  async #atTime(): Promise<Opened> {
    const offset = this.#now() - performance.now();
    if (Math.abs(offset - this.#offset) > CLOCK_STEP_MAX_MS) {
      this.#offset = offset;
      this.#ready = this.#ready.then(async ({ log }) => {
        await log.close();
        return this.#open();
      });
      this.#ready.catch(() => undefined);
    }
    return this.#ready;
  }

  async #open(): Promise<Opened> {
    const log = await openLog({
      origin: ORIGIN,
      storage: this.#storage,
      keyStore: this.#keyStore,
      keys: { signers: [this.#signer], senderSeed: this.#senderSeed },
      policyText: this.policy,
      witnesses: [],
      pinFirstSenderKey: true,
      publishIntervalMs: PUBLISH_INTERVAL_MS,
      scrubEntriesPerSecond: 0,
      confirmClock: true,
      now: this.#now,
    });
    const writer = { id: "test-writer", role: "writer", log: NAME } as const;
    const app = createServerApp({
      logs: [{ name: NAME, publicEntries: true, log, failure: undefined }],
      tokens: { find: (token) => (token === this.token ? writer : undefined), valid: () => [] },
      rateLimit: { requestsPerSecond: 1_000_000, burst: 1_000_000 },
      now: this.#now,
    });
    return { log, app };
  }
}

interface Opened {
  readonly log: Log;
  readonly app: ReturnType<typeof createServerApp>;
}

function fresh(): Uint8Array {
  return new Uint8Array(randomBytes(32));
}
