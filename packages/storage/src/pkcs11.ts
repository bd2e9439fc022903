/**
 * A master key in a PKCS#11 token: an HSM, a smart card, a cloud's key service behind its library. docs/decisions/0050
 *
 * Wraps by AES-256-GCM inside the token, with the context as associated data: nonce (12) | ciphertext and tag. The key need
 * never leave it. Each use opens a session of its own, so that a token that was away is found again.
 */
import { createHash, randomBytes } from "node:crypto";
import { StorageError } from "./error.ts";
import { readSecretFile } from "./files.ts";
import type { MasterKeyProvider } from "./master-key-provider.ts";
import {
  AES,
  openPkcs11Library,
  Pkcs11Failure,
  type Pkcs11Library,
  type Pkcs11Session,
  RESULTS,
  SECRET_KEY,
} from "./pkcs11-library.ts";

/** Where the PIN is. It is read at each use, so that a changed one holds at once. */
export type PinSource =
  | { readonly file: string }
  /** The name of a variable; `env` is usually `process.env`. */
  | { readonly variable: string; readonly env: Readonly<Record<string, string | undefined>> };

export interface Pkcs11Options {
  /** The shared library of the token's maker. It is run in this process: give a path that only you can write. */
  readonly library: string;
  /** By its label, which stays when slots are numbered anew, or by its slot. */
  readonly token: { readonly label: string } | { readonly slot: number };
  /** Of an AES key of 256 bits that may encrypt and decrypt. No other secret key in the token has this label. */
  readonly keyLabel: string;
  readonly pin: PinSource;
  /** For one use; 30,000 by default. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 30_000;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BITS = 256;
const LABEL_BYTES_MAX = 128;
const PIN_REFUSED: readonly number[] = [RESULTS.CKR_PIN_INCORRECT, RESULTS.CKR_PIN_INVALID, RESULTS.CKR_PIN_LEN_RANGE];

/**
 * The master key in a token. Opens nothing yet: whether it is there shows at its first use.
 *
 * A PIN that was refused is not tried again, for tokens lock after a few attempts: it must be another one first.
 */
export function createPkcs11MasterKey(options: Pkcs11Options): MasterKeyProvider {
  return new Pkcs11MasterKey(options);
}

/**
 * Makes the key that {@link createPkcs11MasterKey} uses, in the token: AES of 256 bits, marked as one that never leaves it.
 *
 * @throws {StorageError} `master-key-unavailable`: the token cannot be used, or has a key of this label already.
 */
export async function generatePkcs11Key(options: Pkcs11Options): Promise<void> {
  const token = new Token(options);
  await token.use({ write: true }, async (session) => {
    if ((await session.find({ class: SECRET_KEY, label: options.keyLabel })).length > 0) {
      throw unavailable(`${token.name} has a key ${options.keyLabel} already; nothing was made`);
    }
    await session.generate({
      class: SECRET_KEY,
      keyType: AES,
      valueLen: KEY_BITS / 8,
      label: options.keyLabel,
      token: true,
      private: true,
      sensitive: true,
      extractable: false,
      encrypt: true,
      decrypt: true,
    });
  });
}

class Pkcs11MasterKey implements MasterKeyProvider {
  readonly #token: Token;
  readonly #keyLabel: string;

  constructor(options: Pkcs11Options) {
    this.#token = new Token(options);
    this.#keyLabel = options.keyLabel;
  }

  describe(): string {
    return `key ${this.#keyLabel} of ${this.#token.name}`;
  }

  async wrap(secret: Uint8Array, context: Uint8Array): Promise<Uint8Array> {
    return this.#token.use({}, async (session) => {
      const key = await this.#keyIn(session);
      return encrypt(session, { key, secret, context });
    });
  }

  async unwrap(wrapped: Uint8Array, context: Uint8Array): Promise<Uint8Array> {
    if (wrapped.length < NONCE_BYTES + TAG_BYTES) throw this.#wrongKey();
    return this.#token.use({}, async (session) => {
      const key = await this.#keyIn(session);
      try {
        return await decrypt(session, { key, wrapped, context });
      } catch (cause) {
        if (!(await works(session, key))) throw cause;
        // Tokens call a wrong tag by many names; one that decrypts what it encrypts has no other reason to refuse.
        throw this.#wrongKey();
      }
    });
  }

  async #keyIn(session: Pkcs11Session): Promise<number> {
    const keys = await session.find({ class: SECRET_KEY, keyType: AES, label: this.#keyLabel });
    const [key] = keys;
    if (key === undefined) throw unavailable(`${this.#token.name} has no AES key ${this.#keyLabel}`);
    if (keys.length > 1) {
      throw unavailable(
        `${this.#token.name} has more than one AES key ${this.#keyLabel}; give each a label of its own`,
      );
    }
    return key;
  }

  #wrongKey(): StorageError {
    return new StorageError("master-key-wrong", `not wrapped by ${this.describe()}`);
  }
}

interface Encryption {
  readonly key: number;
  readonly secret: Uint8Array;
  readonly context: Uint8Array;
}

/** A key wraps once at each destruction and backup: nonces drawn at random do not meet in 2^32 uses. */
async function encrypt(session: Pkcs11Session, { key, secret, context }: Encryption): Promise<Uint8Array> {
  const nonce = randomBytes(NONCE_BYTES);
  const data = await session.encrypt({ key, nonce, associatedData: context, data: secret });
  return new Uint8Array(Buffer.concat([nonce, data]));
}

interface Decryption {
  readonly key: number;
  readonly wrapped: Uint8Array;
  readonly context: Uint8Array;
}

async function decrypt(session: Pkcs11Session, { key, wrapped, context }: Decryption): Promise<Uint8Array> {
  const [nonce, data] = [wrapped.slice(0, NONCE_BYTES), wrapped.slice(NONCE_BYTES)];
  return session.decrypt({ key, nonce, associatedData: context, data });
}

async function works(session: Pkcs11Session, key: number): Promise<boolean> {
  const [secret, context] = [randomBytes(32), randomBytes(32)];
  try {
    const wrapped = await encrypt(session, { key, secret, context });
    return Buffer.compare(await decrypt(session, { key, wrapped, context }), secret) === 0;
  } catch {
    return false;
  }
}

/** By library and token: SHA-256 of the PIN that was refused last. */
const refusedPins = new Map<string, string>();

/** A token, and the PIN by which it is used. */
class Token {
  readonly #options: Pkcs11Options;

  constructor(options: Pkcs11Options) {
    const { keyLabel } = options;
    const bytes = Buffer.byteLength(keyLabel);
    if (bytes < 1 || bytes > LABEL_BYTES_MAX)
      throw new RangeError(`keyLabel: expected 1 to ${LABEL_BYTES_MAX} bytes, got ${bytes}`);
    this.#options = options;
  }

  get name(): string {
    const { token } = this.#options;
    return "label" in token ? `token ${token.label}` : `the token in slot ${token.slot}`;
  }

  get #place(): string {
    return `${this.#options.library} ${this.name}`;
  }

  /** Errors of the token become ours, and name it. */
  async use<T>(how: { readonly write?: boolean }, step: (session: Pkcs11Session) => Promise<T>): Promise<T> {
    const { timeoutMs = TIMEOUT_MS } = this.#options;
    try {
      return await withDeadline(this.#use(how, step), timeoutMs);
    } catch (cause) {
      if (cause instanceof StorageError) throw cause;
      throw unavailable(`${this.name} cannot be used (${reasonOf(cause)})`, cause);
    }
  }

  async #use<T>(
    { write = false }: { readonly write?: boolean },
    step: (session: Pkcs11Session) => Promise<T>,
  ): Promise<T> {
    const { library: path } = this.#options;
    const library = await openPkcs11Library(path).catch((cause: unknown) => {
      throw unavailable(`the PKCS#11 library ${path} cannot be used (${reasonOf(cause)})`, cause);
    });
    const slot = await this.#slotIn(library);
    const pin = await this.#pin();
    try {
      return await library.withSession({ slot, pin, write }, step);
    } catch (cause) {
      if (cause instanceof Pkcs11Failure && PIN_REFUSED.includes(cause.code))
        refusedPins.set(this.#place, digestOf(pin));
      throw cause;
    }
  }

  async #slotIn(library: Pkcs11Library): Promise<number> {
    const { token, library: path } = this.#options;
    if ("slot" in token) return token.slot;
    const slots = (await library.slots()).filter(({ label }) => label === token.label);
    const [found] = slots;
    if (found === undefined) throw unavailable(`${path} knows no token with the label ${token.label}`);
    if (slots.length > 1) throw unavailable(`${path} knows ${slots.length} tokens with the label ${token.label}`);
    return found.slot;
  }

  async #pin(): Promise<string> {
    const pin = await readPin(this.#options.pin);
    if (digestOf(pin) !== refusedPins.get(this.#place)) return pin;
    throw unavailable(
      `${this.name} refused this PIN before, and it is not tried again: tokens lock; put the right one in its place`,
    );
  }
}

/** One line feed at the end is an editor's. */
async function readPin(source: PinSource): Promise<string> {
  if ("file" in source) {
    const bytes = await readSecretFile(source.file).catch((cause: unknown) => {
      // Without its PIN a token cannot be used; that nothing is wrong with the store itself makes a difference.
      if (!(cause instanceof StorageError) || cause.code !== "storage-unavailable") throw cause;
      throw unavailable(`the PIN is not there: ${cause.message}`, cause);
    });
    const pin = Buffer.from(bytes).toString().replace(/\n$/, "");
    if (pin !== "") return pin;
    throw unavailable(`${source.file} does not hold a PIN`);
  }
  const pin = source.env[source.variable] ?? "";
  if (pin !== "") return pin;
  throw unavailable(`the variable ${source.variable} does not hold a PIN`);
}

function digestOf(pin: string): string {
  return createHash("sha256").update(pin).digest("hex");
}

async function withDeadline<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function unavailable(message: string, cause?: unknown): StorageError {
  return new StorageError("master-key-unavailable", message, cause === undefined ? {} : { cause });
}
