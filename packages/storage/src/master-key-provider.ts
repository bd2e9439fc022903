/**
 * What a master key does, wherever it lies: it wraps a few secrets, each bound to what it is for. docs/decisions/0050
 *
 * A key in a file or the environment does so in this process; a token or a service does so without giving the key away.
 */
import { randomBytes } from "node:crypto";
import { StorageError } from "./error.ts";
import { KEY_BYTES, NONCE_BYTES, type RandomSource, TAG_BYTES, unwrapSecret, wrapSecret } from "./key-wrap.ts";

/**
 * A master key that stays where it is. Calls are rare: at start, and whenever keys are destroyed or backed up.
 *
 * Calls may overlap, and need not end: whoever implements one gives each call a deadline.
 */
export interface MasterKeyProvider {
  /** Names the key, in messages and in files: at most 255 bytes of text, nothing secret. */
  describe(): string;

  /**
   * Wraps up to 1024 bytes so that nobody without the key can read them, change them, or pass them off under another
   * context.
   *
   * @returns at most 4096 bytes.
   * @throws {StorageError} `master-key-unavailable`: the key cannot be used now. Nothing happened; to try again is right.
   */
  wrap(secret: Uint8Array, context: Uint8Array): Promise<Uint8Array>;

  /**
   * What was wrapped, under the same context.
   *
   * @throws {StorageError} `master-key-wrong`: by another key, or under another context, or it was changed.
   * @throws {StorageError} `master-key-unavailable`: the key cannot be used now.
   */
  unwrap(wrapped: Uint8Array, context: Uint8Array): Promise<Uint8Array>;
}

/** 32 bytes, as `loadMasterKey` reads them, or what wraps with a key that it does not give away. */
export type MasterKey = Uint8Array | MasterKeyProvider;

/**
 * The master key as something that wraps, whatever it is. Bytes are not copied.
 *
 * @throws {TypeError} `masterKey` is neither 32 bytes nor a provider.
 */
export function masterKeyProvider(masterKey: MasterKey, random: RandomSource = randomBytes): MasterKeyProvider {
  return masterKey instanceof Uint8Array ? new LocalMasterKey(masterKey, random) : assertProvider(masterKey);
}

function assertProvider(masterKey: MasterKeyProvider): MasterKeyProvider {
  const { describe, wrap, unwrap } = (masterKey ?? {}) as Partial<MasterKeyProvider>;
  if ([describe, wrap, unwrap].every((method) => typeof method === "function")) return masterKey;
  throw new TypeError(`masterKey: expected ${KEY_BYTES} bytes, or describe, wrap and unwrap`);
}

/** What a key of 32 bytes adds to a secret that it wraps. */
const LOCAL_OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES;

/** A key in this process: nonce (24) | XChaCha20-Poly1305, with the context as associated data. */
export class LocalMasterKey implements MasterKeyProvider {
  readonly #key: Uint8Array;
  readonly #random: RandomSource;

  /** `key` is not copied. */
  constructor(key: Uint8Array, random: RandomSource) {
    if (key.length !== KEY_BYTES) throw new TypeError(`masterKey: expected ${KEY_BYTES} bytes, got ${key.length}`);
    this.#key = key;
    this.#random = random;
  }

  describe(): string {
    return "a master key of 32 bytes";
  }

  async wrap(secret: Uint8Array, context: Uint8Array): Promise<Uint8Array> {
    const nonce = this.#random(NONCE_BYTES);
    const wrapped = wrapSecret({ key: this.#key, nonce, associatedData: context }, secret);
    return new Uint8Array(Buffer.concat([nonce, wrapped]));
  }

  async unwrap(wrapped: Uint8Array, context: Uint8Array): Promise<Uint8Array> {
    const [nonce, sealed] = [wrapped.subarray(0, NONCE_BYTES), wrapped.subarray(NONCE_BYTES)];
    const secret =
      wrapped.length < LOCAL_OVERHEAD_BYTES
        ? undefined
        : unwrapSecret({ key: this.#key, nonce, associatedData: context }, sealed);
    if (secret === undefined) {
      throw new StorageError("master-key-wrong", "not wrapped by the master key that was given");
    }
    return secret;
  }

  /** The same key in bytes of its own, to be wiped. */
  copy(random: RandomSource): LocalMasterKey {
    return new LocalMasterKey(new Uint8Array(this.#key), random);
  }

  wipe(): void {
    this.#key.fill(0);
  }
}

/** For whoever keeps it for longer: a key of 32 bytes is copied, so that {@link wipeMasterKey} leaves the caller's. */
export function keepMasterKey(masterKey: MasterKey, random: RandomSource): MasterKeyProvider {
  const provider = masterKeyProvider(masterKey, random);
  return provider instanceof LocalMasterKey ? provider.copy(random) : provider;
}

export function wipeMasterKey(masterKey: MasterKeyProvider): void {
  if (masterKey instanceof LocalMasterKey) masterKey.wipe();
}
