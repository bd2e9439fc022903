/**
 * The calls of PKCS#11 (OASIS, version 2.40) that a master key needs, in the shared library of a token's maker.
 *
 * Called through koffi, which is loaded with the first library. Calls run on threads of their own, one at a time for each
 * library: a token may take seconds, and the event loop must not wait for it.
 */
import type * as Koffi from "koffi";
import { SerialQueue } from "./serial-queue.ts";

const ULONG = "unsigned long";
const BYTES = "void *";

const FUNCTIONS = {
  C_Initialize: [BYTES],
  C_GetSlotList: ["uint8_t", BYTES, BYTES],
  C_GetTokenInfo: [ULONG, BYTES],
  C_OpenSession: [ULONG, ULONG, BYTES, BYTES, BYTES],
  C_CloseSession: [ULONG],
  C_Login: [ULONG, ULONG, BYTES, ULONG],
  C_FindObjectsInit: [ULONG, "attributes", ULONG],
  C_FindObjects: [ULONG, BYTES, ULONG, BYTES],
  C_FindObjectsFinal: [ULONG],
  C_GenerateKey: [ULONG, "mechanism", "attributes", ULONG, BYTES],
  C_EncryptInit: [ULONG, "mechanism", ULONG],
  C_Encrypt: [ULONG, BYTES, ULONG, BYTES, BYTES],
  C_DecryptInit: [ULONG, "mechanism", ULONG],
  C_Decrypt: [ULONG, BYTES, ULONG, BYTES, BYTES],
} as const;

type FunctionName = keyof typeof FUNCTIONS;
type NativeFunction = ReturnType<Koffi.LibraryHandle["func"]>;
type Call = (args: readonly unknown[]) => Promise<number>;

/** What a token answered instead of doing what it was asked. */
export class Pkcs11Failure extends Error {
  override readonly name = "Pkcs11Failure";
  readonly code: number;

  constructor(call: string, code: number) {
    super(`${call}: ${RESULT_NAMES[code] ?? `error 0x${code.toString(16)}`}`);
    this.code = code;
  }
}

export const RESULTS = {
  CKR_GENERAL_ERROR: 0x05,
  CKR_FUNCTION_FAILED: 0x06,
  CKR_DEVICE_ERROR: 0x30,
  CKR_DEVICE_REMOVED: 0x32,
  CKR_ENCRYPTED_DATA_INVALID: 0x40,
  CKR_KEY_TYPE_INCONSISTENT: 0x63,
  CKR_KEY_FUNCTION_NOT_PERMITTED: 0x68,
  CKR_MECHANISM_INVALID: 0x70,
  CKR_MECHANISM_PARAM_INVALID: 0x71,
  CKR_PIN_INCORRECT: 0xa0,
  CKR_PIN_INVALID: 0xa1,
  CKR_PIN_LEN_RANGE: 0xa2,
  CKR_PIN_EXPIRED: 0xa3,
  CKR_PIN_LOCKED: 0xa4,
  CKR_TOKEN_NOT_PRESENT: 0xe0,
  CKR_TOKEN_WRITE_PROTECTED: 0xe2,
  CKR_USER_ALREADY_LOGGED_IN: 0x100,
  CKR_USER_PIN_NOT_INITIALIZED: 0x102,
  CKR_CRYPTOKI_ALREADY_INITIALIZED: 0x191,
} as const;
const RESULT_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(RESULTS).map(([name, code]) => [code, name]),
);

/** Attributes of keys (CKA_…), as far as they are needed. */
const ATTRIBUTES = {
  class: 0x000,
  token: 0x001,
  private: 0x002,
  label: 0x003,
  keyType: 0x100,
  sensitive: 0x103,
  encrypt: 0x104,
  decrypt: 0x105,
  valueLen: 0x161,
  extractable: 0x162,
} as const;

/** A number is written as CK_ULONG, text as its bytes. */
export type KeyTemplate = Partial<Readonly<Record<keyof typeof ATTRIBUTES, number | boolean | string>>>;

export const SECRET_KEY = 4;
export const AES = 0x1f;
const AES_KEY_GEN = 0x1080;
const AES_GCM = 0x1087;
const SERIAL_SESSION = 4;
const READ_WRITE_SESSION = 2;
const OS_LOCKING_OK = 2n;
const USER = 1;
const TAG_BITS = 128;
const LABEL_BYTES = 32;
/** A CK_TOKEN_INFO takes 208 bytes where a long has eight. */
const TOKEN_INFO_BYTES = 512;
const SLOTS_MAX = 1024;
/** More than the two that tell "one" from "several" are of no use. */
const FOUND_MAX = 2;

export interface GcmInput {
  readonly key: number;
  readonly nonce: Uint8Array;
  readonly associatedData: Uint8Array;
  readonly data: Uint8Array;
}

export interface TokenSlot {
  readonly slot: number;
  /** Without the blanks that fill it up. */
  readonly label: string;
}

/** A session in which the user is logged in. Ends with the function that it was given to. */
export interface Pkcs11Session {
  /** Up to two keys that have all of these attributes. */
  find(template: KeyTemplate): Promise<readonly number[]>;
  /** Makes an AES key in the token. */
  generate(template: KeyTemplate): Promise<number>;
  encrypt(input: GcmInput): Promise<Uint8Array>;
  decrypt(input: GcmInput): Promise<Uint8Array>;
}

const opened = new Map<string, Promise<Pkcs11Library>>();

/** The library at a path; loaded and initialised once in this process, since it knows only one caller in it. */
export async function openPkcs11Library(path: string): Promise<Pkcs11Library> {
  const known = opened.get(path) ?? Pkcs11Library.open(path);
  opened.set(path, known);
  try {
    return await known;
  } catch (cause) {
    opened.delete(path);
    throw cause;
  }
}

export class Pkcs11Library {
  readonly #koffi: typeof Koffi;
  readonly #calls: Readonly<Record<FunctionName, Call>>;
  readonly #queue = new SerialQueue();

  private constructor(koffi: typeof Koffi, calls: Readonly<Record<FunctionName, Call>>) {
    this.#koffi = koffi;
    this.#calls = calls;
  }

  static async open(path: string): Promise<Pkcs11Library> {
    const koffi = await importKoffi();
    const library = new Pkcs11Library(koffi, bindCalls(koffi, path));
    await library.#initialize();
    return library;
  }

  async slots(): Promise<readonly TokenSlot[]> {
    return this.#queue.run(async () => {
      const count = this.#ulong(SLOTS_MAX);
      const list = Buffer.alloc(SLOTS_MAX * count.length);
      await this.#call("C_GetSlotList", 1, list, count);
      const slots = this.#ulongs(list, this.#number(count));
      const found: TokenSlot[] = [];
      for (const slot of slots) found.push({ slot, label: await this.#labelOf(slot) });
      return found;
    });
  }

  /** Nothing else is asked of this library meanwhile, so that nobody ends the login of another. */
  async withSession<T>(
    { slot, pin, write = false }: { readonly slot: number; readonly pin: string; readonly write?: boolean },
    use: (session: Pkcs11Session) => Promise<T>,
  ): Promise<T> {
    return this.#queue.run(async () => {
      const handle = this.#ulong(0);
      const flags = SERIAL_SESSION + (write ? READ_WRITE_SESSION : 0);
      await this.#call("C_OpenSession", slot, flags, null, null, handle);
      const session = this.#number(handle);
      try {
        await this.#login(session, pin);
        return await use(this.#sessionOf(session));
      } finally {
        // Logs out, as the only session. One that cannot be closed is gone with its token.
        await this.#call("C_CloseSession", session).catch(() => undefined);
      }
    });
  }

  /** CK_C_INITIALIZE_ARGS: no mutexes of ours, and threads. A library that the process has initialised already is fine. */
  async #initialize(): Promise<void> {
    const pointer = this.#koffi.sizeof(BYTES);
    const args = Buffer.alloc(6 * pointer);
    this.#koffi.encode(args, 4 * pointer, ULONG, OS_LOCKING_OK);
    await this.#call("C_Initialize", args).catch(passing(RESULTS.CKR_CRYPTOKI_ALREADY_INITIALIZED));
  }

  async #labelOf(slot: number): Promise<string> {
    const info = Buffer.alloc(TOKEN_INFO_BYTES);
    await this.#call("C_GetTokenInfo", slot, info);
    return info.toString("utf8", 0, LABEL_BYTES).trimEnd();
  }

  async #login(session: number, pin: string): Promise<void> {
    const bytes = Buffer.from(pin);
    try {
      await this.#call("C_Login", session, USER, bytes, bytes.length);
    } catch (cause) {
      passing(RESULTS.CKR_USER_ALREADY_LOGGED_IN)(cause);
    } finally {
      bytes.fill(0);
    }
  }

  #sessionOf(session: number): Pkcs11Session {
    return {
      find: async (template) => this.#find(session, template),
      generate: async (template) => {
        const key = this.#ulong(0);
        const attributes = this.#attributesOf(template);
        const mechanism = { mechanism: AES_KEY_GEN, pParameter: null, ulParameterLen: 0 };
        await this.#call("C_GenerateKey", session, mechanism, attributes, attributes.length, key);
        return this.#number(key);
      },
      encrypt: async (input) => {
        await this.#call("C_EncryptInit", session, this.#gcmOf(input), input.key);
        return this.#crypt("C_Encrypt", session, input.data);
      },
      decrypt: async (input) => {
        await this.#call("C_DecryptInit", session, this.#gcmOf(input), input.key);
        return this.#crypt("C_Decrypt", session, input.data);
      },
    };
  }

  async #find(session: number, template: KeyTemplate): Promise<readonly number[]> {
    const attributes = this.#attributesOf(template);
    await this.#call("C_FindObjectsInit", session, attributes, attributes.length);
    try {
      const count = this.#ulong(0);
      const found = Buffer.alloc(FOUND_MAX * count.length);
      await this.#call("C_FindObjects", session, found, FOUND_MAX, count);
      return this.#ulongs(found, this.#number(count));
    } finally {
      await this.#call("C_FindObjectsFinal", session);
    }
  }

  /** In one part. */
  async #crypt(call: "C_Encrypt" | "C_Decrypt", session: number, data: Uint8Array): Promise<Uint8Array> {
    // Room for the tag, and for what a token takes that asks for more than it gives.
    const out = Buffer.alloc(data.length + 64);
    const size = this.#ulong(out.length);
    try {
      await this.#call(call, session, data, data.length, out, size);
      return new Uint8Array(out.subarray(0, this.#number(size)));
    } finally {
      out.fill(0);
    }
  }

  #gcmOf({ nonce, associatedData }: GcmInput): unknown {
    const parameters = {
      pIv: nonce,
      ulIvLen: nonce.length,
      ulIvBits: nonce.length * 8,
      pAAD: associatedData,
      ulAADLen: associatedData.length,
      ulTagBits: TAG_BITS,
    };
    // Six fields of the size of a pointer each.
    return { mechanism: AES_GCM, pParameter: parameters, ulParameterLen: 6 * this.#koffi.sizeof(BYTES) };
  }

  #attributesOf(template: KeyTemplate): readonly unknown[] {
    return Object.entries(template).map(([name, value]) => {
      const bytes = this.#valueOf(value);
      return { type: ATTRIBUTES[name as keyof typeof ATTRIBUTES], pValue: bytes, ulValueLen: bytes.length };
    });
  }

  #valueOf(value: number | boolean | string): Buffer {
    if (typeof value === "number") return this.#ulong(value);
    return typeof value === "boolean" ? Buffer.from([value ? 1 : 0]) : Buffer.from(value);
  }

  async #call(name: FunctionName, ...args: unknown[]): Promise<void> {
    const code = await this.#calls[name](args);
    if (code !== 0) throw new Pkcs11Failure(name, code);
  }

  #ulong(value: number): Buffer {
    const bytes = Buffer.alloc(this.#koffi.sizeof(ULONG));
    this.#koffi.encode(bytes, ULONG, value);
    return bytes;
  }

  #number(bytes: Buffer): number {
    return Number(this.#koffi.decode(bytes, ULONG));
  }

  #ulongs(list: Buffer, count: number): readonly number[] {
    const size = this.#koffi.sizeof(ULONG);
    return Array.from({ length: count }, (_, at) => this.#number(list.subarray(at * size, (at + 1) * size)));
  }
}

/** The library's functions, by name. Its makers align structures as the platform does, but on Windows. */
function bindCalls(koffi: typeof Koffi, path: string): Readonly<Record<FunctionName, Call>> {
  if (process.platform === "win32") throw new Error("PKCS#11 is not supported on Windows");
  const library = koffi.load(path);
  const gcm = koffi.struct({
    pIv: BYTES,
    ulIvLen: ULONG,
    ulIvBits: ULONG,
    pAAD: BYTES,
    ulAADLen: ULONG,
    ulTagBits: ULONG,
  });
  const mechanism = koffi.struct({ mechanism: ULONG, pParameter: koffi.pointer(gcm), ulParameterLen: ULONG });
  const attribute = koffi.struct({ type: ULONG, pValue: BYTES, ulValueLen: ULONG });
  const types = { mechanism: koffi.pointer(mechanism), attributes: koffi.pointer(attribute) };
  const typeOf = (name: string): string | Koffi.TypeObject => types[name as keyof typeof types] ?? name;
  const bound = Object.entries(FUNCTIONS).map(([name, parameters]): [string, Call] => {
    const native = library.func(name, ULONG, parameters.map(typeOf));
    return [name, (args) => callOf(native, args)];
  });
  return Object.fromEntries(bound) as Record<FunctionName, Call>;
}

/** Optional, and a native module: only who has a token loads it. */
async function importKoffi(): Promise<typeof Koffi> {
  try {
    return await import("koffi");
  } catch (cause) {
    throw new Error("the package koffi is not installed for this platform; install it", { cause });
  }
}

/** What calls under way were given: it lies where the native side looks for it until they have ended. */
const underWay = new Set<readonly unknown[]>();

async function callOf(native: NativeFunction, args: readonly unknown[]): Promise<number> {
  underWay.add(args);
  try {
    return await new Promise<number>((resolve, reject) => {
      native.async(...args, (error: Error | null, code: number | bigint) => {
        if (error === null) resolve(Number(code));
        else reject(error);
      });
    });
  } finally {
    underWay.delete(args);
  }
}

function passing(code: number): (cause: unknown) => void {
  return (cause) => {
    if (!(cause instanceof Pkcs11Failure) || cause.code !== code) throw cause;
  };
}
