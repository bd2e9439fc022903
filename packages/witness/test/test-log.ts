/** A log as a witness sees it: a tree, keys, signed checkpoints and the bodies of requests. */
import {
  type Hash,
  type Signer,
  createSigner,
  encodeBase64,
  formatCheckpoint,
  originHash,
  proveConsistency,
  proveSubtreeConsistency,
  sha256,
  signNote,
  subtreeHash,
  treeHash,
  utf8,
} from "@tallystick/core";
import { MemoryTree } from "../../core/test/memory-tree.ts";

export interface TestLogOptions {
  readonly origin?: string;
  /** Entries; the tree can be asked for at any size up to this. */
  readonly size?: number;
  /** Two logs with one origin and different salts are a fork. */
  readonly salt?: string;
  readonly extensions?: readonly string[];
  readonly signers?: readonly Signer[];
}

export function logSigner(name: string, seed: string = name): Signer {
  return createSigner({ name, type: "ed25519", seed: sha256(utf8(seed)) });
}

export class TestLog {
  readonly origin: string;
  readonly signers: readonly Signer[];
  readonly #tree: MemoryTree;
  readonly #leafHashes: Hash[] = [];
  readonly #extensions: readonly string[];

  constructor({ origin = "log.example/a", size = 16, salt = "", extensions = [], signers }: TestLogOptions = {}) {
    this.origin = origin;
    this.signers = signers ?? [logSigner(origin)];
    this.#extensions = extensions;
    this.#tree = new MemoryTree();
    for (let index = 0; index < size; index += 1) this.#tree.append(utf8(`${salt}${index}`));
    for (let index = 0; index < size; index += 1) this.#leafHashes.push(this.#tree.getNode({ level: 0, index }));
  }

  get vkey(): string {
    return this.signers[0]?.vkey ?? "";
  }

  get hash(): string {
    return originHash(this.origin);
  }

  rootHash(size: number): Hash {
    return treeHash(this.#leafHashes.slice(0, size));
  }

  /** The signed checkpoint of the first `size` entries. */
  checkpoint(size: number, signers: readonly Signer[] = this.signers): string {
    return this.sign({ size, rootHash: this.rootHash(size) }, signers);
  }

  /** A checkpoint that says anything. */
  sign(
    { size, rootHash }: { readonly size: number | bigint; readonly rootHash: Hash },
    signers: readonly Signer[] = this.signers,
  ): string {
    const text = formatCheckpoint({ origin: this.origin, size, rootHash, extensions: this.#extensions });
    return signNote({ text, signers, timestamp: 1 });
  }

  proof(from: number, to: number): Hash[] {
    return proveConsistency({ from, to, getNode: this.#tree.getNode });
  }

  /** The body that asks to extend `from` to `to`. */
  request(from: number, to: number): Uint8Array {
    return requestBody({ old: from, proof: this.proof(from, to), checkpoint: this.checkpoint(to) });
  }

  subtreeHash(start: number, end: number): Hash {
    return subtreeHash({ start, end, getNode: this.#tree.getNode });
  }

  subtreeProof(range: { readonly start: number; readonly end: number; readonly size: number }): Hash[] {
    return proveSubtreeConsistency({ ...range, getNode: this.#tree.getNode });
  }
}

export interface RequestParts {
  readonly old: number | bigint | string;
  readonly proof?: readonly Hash[];
  readonly checkpoint: string;
}

export function requestBody({ old, proof = [], checkpoint }: RequestParts): Uint8Array {
  return utf8(`old ${old}\n${proof.map((hash) => `${encodeBase64(hash)}\n`).join("")}\n${checkpoint}`);
}

export interface SubtreeParts {
  readonly range: string;
  readonly hash: Hash;
  readonly proof?: readonly Hash[];
  readonly checkpoint: string;
}

export function subtreeBody({ range, hash, proof = [], checkpoint }: SubtreeParts): Uint8Array {
  return utf8(`${range}\n${[hash, ...proof].map((each) => `${encodeBase64(each)}\n`).join("")}\n${checkpoint}`);
}
