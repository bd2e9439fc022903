/** The kernel as a module: where it comes from, where it runs, what it keeps. What it computes: hashes and aead. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createContext, Script } from "node:vm";
import { poly1305 } from "@noble/ciphers/_poly1305.js";
import { build } from "vite";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { encryptPortably } from "../src/aead-portable.ts";
import {
  type AeadInput,
  concatBytes,
  decodeBase64,
  encodeHex,
  hashLeaf,
  hashLeaves,
  sha256,
  treeHash,
} from "../src/index.ts";
import { Kernel } from "../src/kernel.ts";
import { KERNEL_WASM } from "../src/kernel-wasm.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const COMPILE_TIMEOUT_MS = 120_000;

/** What these tests use of it, beyond what kernel.ts declares. */
interface WasmExports {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  readonly INPUT: { readonly value: number };
  readonly authenticate: (key: number, from: number, end: number, to: number) => void;
}
declare const WebAssembly: {
  readonly CompileError: new (message: string) => Error;
  readonly Module: { new (bytes: Uint8Array): object; imports(module: object): unknown[] };
  readonly Instance: new (module: object) => { readonly exports: WasmExports };
};

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tallystick-kernel-"));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

afterEach(() => {
  vi.unstubAllGlobals();
});

async function compile(name: string, ...args: readonly string[]): Promise<Uint8Array> {
  const file = join(folder, name);
  await promisify(execFile)(process.execPath, [join(root, ".config/kernel.mjs"), file, ...args]);
  return new Uint8Array(readFileSync(file));
}

describe("the module", () => {
  test("is what its sources compile to, the same bytes once more", { timeout: COMPILE_TIMEOUT_MS }, async () => {
    expect(Buffer.compare(await compile("again.wasm"), decodeBase64(KERNEL_WASM))).toBe(0);
  });

  test("imports nothing, and its memory cannot grow beyond 512 KiB", () => {
    const module = new WebAssembly.Module(decodeBase64(KERNEL_WASM));
    expect(WebAssembly.Module.imports(module)).toEqual([]);
    const { memory } = new WebAssembly.Instance(module).exports;
    expect(memory.buffer.byteLength).toBe(512 * 1024);
    expect(() => memory.grow(1)).toThrow(RangeError);
  });
});

describe("Kernel.create", () => {
  test("gives none where there is no WebAssembly", () => {
    vi.stubGlobal("WebAssembly", undefined);
    expect(Kernel.create()).toBeUndefined();
  });

  test("gives none where compiling is refused: no vectors, or a content security policy", () => {
    const refused = new WebAssembly.CompileError("refused");
    function Module(): never {
      throw refused;
    }
    vi.stubGlobal("WebAssembly", { Module });
    expect(Kernel.create()).toBeUndefined();
  });
});

/** A kernel, and its memory. */
function createKernel(): { readonly kernel: Kernel; readonly memory: Uint8Array } {
  let memory: Uint8Array | undefined;
  const { Instance, Module } = WebAssembly;
  vi.stubGlobal("WebAssembly", {
    Module,
    Instance: class {
      readonly exports: WasmExports;
      constructor(module: object) {
        this.exports = new Instance(module).exports;
        memory = new Uint8Array(this.exports.memory.buffer);
      }
    },
  });
  const kernel = Kernel.create();
  vi.unstubAllGlobals();
  if (kernel === undefined || memory === undefined) throw new Error("Node has WebAssembly with vectors");
  return { kernel, memory };
}

function encryptAll(kernel: Kernel, inputs: readonly AeadInput[]): Uint8Array[] {
  return kernel
    .encryptAll(inputs, { before: 79, after: 17 })
    .map(({ bytes, start, end }) => bytes.subarray(start, end));
}

describe("what is secret", () => {
  const key = new TextEncoder().encode("this key is secret, and 32 bytes");
  const nonce = new TextEncoder().encode("a nonce is of 24 bytes !");
  const plaintext = new TextEncoder().encode("a text that nobody has to know ".repeat(10));
  const input: AeadInput = { key, nonce, associatedData: new Uint8Array(54), plaintext };

  /** Looks for the words of secrets, in either order of bytes: vectors hold them apart from each other. */
  function expectNone(memory: Uint8Array, ...secrets: readonly Uint8Array[]): void {
    const bytes = Buffer.from(memory);
    for (const secret of secrets) {
      for (let at = 0; at + 4 <= secret.length; at += 4) {
        const word = Buffer.from(secret.subarray(at, at + 4));
        expect([bytes.indexOf(word), bytes.indexOf(Buffer.from(word).reverse())]).toEqual([-1, -1]);
      }
    }
  }

  test.each([1, 3, 4, 5, 700])(
    "no key, no nonce, no text and no key stream of %i texts is left in the memory",
    (count) => {
      const { kernel, memory } = createKernel();
      const encrypted = encryptAll(
        kernel,
        Array.from({ length: count }, () => input),
      );
      const keyStream = plaintext.map((byte, i) => byte ^ Number(encrypted[0]?.[i]));
      expectNone(memory, key, nonce, plaintext, keyStream);
      expect(Buffer.from(memory).includes(Buffer.from(encrypted[0]?.subarray(0, 16) ?? key))).toBe(true);
    },
  );

  test("what lies between ciphertexts holds no key, no nonce and no text", () => {
    const { kernel } = createKernel();
    for (const { buffer } of encryptAll(kernel, [input, input, input]))
      expectNone(new Uint8Array(buffer), key, nonce, plaintext);
  });

  test("no key and no hash of sha256All is left in the memory", () => {
    const { kernel, memory } = createKernel();
    for (const count of [1, 4, 5, 3000]) {
      const keys = Array.from({ length: count }, () => key);
      const hash = kernel.sha256All(keys).subarray(0, 32);
      expect(hash).toEqual(sha256(key));
      expectNone(memory, key, hash);
      expect(() => kernel.sha256All([...keys, undefined as unknown as Uint8Array])).toThrow(TypeError);
      expectNone(memory, key, hash);
    }
  });

  test("nothing is left after a call that failed, and the next call is right", () => {
    const { kernel, memory } = createKernel();
    const wrong = { ...input, plaintext: new BigUint64Array(4) as unknown as Uint8Array };
    expect(() => encryptAll(kernel, [input, input, wrong])).toThrow(TypeError);
    expectNone(memory, key, nonce, plaintext);
    expect(encryptAll(kernel, [input])).toEqual([encryptPortably(input)]);
  });
});

test("its Poly1305 is noble's where sums are near 2^130 - 5", { timeout: COMPILE_TIMEOUT_MS }, async () => {
  const module = new WebAssembly.Module(await compile("poly1305.wasm", "poly1305.ts"));
  const { authenticate, memory } = new WebAssembly.Instance(module).exports;
  const bytes = new Uint8Array(memory.buffer);
  const [KEY, TAG, TEXT] = [4096, 8192, 16_384];
  const word = (low: number, rest: number): Uint8Array => new Uint8Array(16).fill(rest).fill(low, 0, 1);
  const words = [
    ...[0, 1, 2, 3, 4, 5, 6, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff].map((low) => word(low, 0)),
    ...[0, 1, 2, 3, 4, 5, 6, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff].map((low) => word(low, 0xff)),
  ];
  const differs: string[] = [];
  for (const r of words) {
    for (const s of [word(0, 0), word(0xff, 0xff)]) {
      for (const first of words) {
        for (const second of words) {
          const [key, text] = [concatBytes(r, s), concatBytes(first, second, first)];
          bytes.set(key, KEY);
          bytes.set(text, TEXT);
          authenticate(KEY, TEXT, TEXT + text.length, TAG);
          const [tag, expected] = [bytes.slice(TAG, TAG + 16), poly1305(text, key)];
          if (Buffer.compare(tag, expected) !== 0) differs.push(`${encodeHex(key)} ${encodeHex(text)}`);
        }
      }
    }
  }
  expect(differs).toEqual([]);
});

test("its bundle for browsers hashes in a bare realm, with WebAssembly and without", { timeout: 60_000 }, async () => {
  const output = await build({
    configFile: false,
    logLevel: "error",
    resolve: { conditions: ["ws-source", "browser"] },
    build: {
      write: false,
      lib: { entry: join(root, "packages/core/src/index.ts"), formats: ["iife"], name: "core" },
    },
  });
  const [first] = Array.isArray(output) ? output : [output];
  if (first === undefined || !("output" in first)) throw new Error("no bundle");
  const code = first.output[0].code;
  const entries = Array.from({ length: 300 }, (_, i) => new Uint8Array(i).fill(i));
  const expected = encodeHex(treeHash(hashLeaves(entries)));
  const program = `${code}
    const entries = Array.from({ length: 300 }, (_, i) => new Uint8Array(i).fill(i));
    const hash = core.encodeHex(core.treeHash(core.hashLeaves(entries)));
    const [sealed] = core.encryptAll([{ key: new Uint8Array(32), nonce: new Uint8Array(24), associatedData: new Uint8Array(3), plaintext: new Uint8Array(9) }]);
    [typeof WebAssembly, hash, core.encodeHex(sealed)].join(" ")`;
  const run = (before: string): string =>
    String(new Script(`${before}\n${program}`).runInContext(createContext({ TextEncoder, TextDecoder })));
  const [kind, hash, sealed] = run("").split(" ");
  expect([kind, hash]).toEqual(["object", expected]);
  expect(run("delete globalThis.WebAssembly;")).toBe(`undefined ${expected} ${sealed}`);
  expect(expected).toBe(encodeHex(treeHash(entries.map(hashLeaf))));
});
