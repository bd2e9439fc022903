/** Recomputes every example of docs/reference/formats.md through the public functions. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type ReceiptInput, verifyReceipt } from "@tallystick/client";
import {
  type SignerType,
  createSigner,
  decodeHex,
  ed25519PublicKey,
  ed25519Sign,
  formatCheckpoint,
  formatTlogProof,
  formatVkey,
  hashLeaf,
  hashNode,
  originHash,
  parsePolicy,
  signNote,
  treeHash,
  verifyInclusion,
} from "@tallystick/core";
import {
  actorTag,
  batchMessage,
  batchRoot,
  certificateContext,
  computeCommitment,
  coversLeaf,
  dayOf,
  decodeCbor,
  decodeEvent,
  decodeLeaf,
  decodeOpening,
  encodeCbor,
  encodeClaim,
  encodeEvent,
  encodeLeaf,
  encodeOpening,
  formatEvidence,
  keyFingerprint,
  openSealed,
  parseCertificate,
  parseEvent,
  parseEvidence,
  personDayKey,
  personOf,
  proveBatchOrigin,
  retentionClass,
  sealKey,
  sealOpening,
  sessionTag,
  signBatch,
  streamId,
  subjectTag,
  tenantTag,
  verifyBatchOrigin,
  verifyOpening,
  writerStreamId,
} from "@tallystick/events";
import { expect, test } from "vitest";

interface Example {
  readonly function: string;
  readonly inputs: readonly unknown[];
  /** Absent where the function only has not to refuse. */
  readonly output?: unknown;
  /** The code with which the function refuses, and some of the error's details. */
  readonly error?: string;
  readonly offset?: number;
  readonly field?: string;
}

type Run = (...inputs: never[]) => unknown;

interface SignerInput {
  readonly name: string;
  readonly type: SignerType;
  readonly seed: Uint8Array;
}

interface PrintedNote {
  readonly text: string;
  readonly signers: readonly SignerInput[];
  readonly timestamp: number;
}

type PrintedReceipt = Omit<ReceiptInput, "policy"> & { readonly policy: string };

/** The functions of the page; where one takes an object that JSON cannot hold, it is made here. */
const functions: Readonly<Record<string, Run>> = {
  ed25519PublicKey,
  ed25519Sign,
  formatCheckpoint,
  formatTlogProof,
  formatVkey,
  hashLeaf,
  hashNode,
  originHash,
  treeHash,
  verifyInclusion,
  actorTag,
  batchMessage,
  batchRoot,
  certificateContext,
  computeCommitment,
  coversLeaf,
  dayOf,
  decodeCbor,
  decodeEvent,
  decodeLeaf,
  encodeCbor,
  encodeClaim,
  encodeLeaf,
  encodeOpening,
  formatEvidence,
  keyFingerprint,
  openSealed,
  parseCertificate,
  personDayKey,
  personOf,
  proveBatchOrigin,
  retentionClass,
  sealKey,
  sealOpening,
  sessionTag,
  signBatch,
  streamId,
  subjectTag,
  tenantTag,
  verifyBatchOrigin,
  verifyOpening,
  writerStreamId,
  encodeEvent: (json: unknown) => encodeEvent(parseEvent(json)),
  signNote: ({ text, signers, timestamp }: PrintedNote) =>
    signNote({ text, signers: signers.map(createSigner), timestamp }),
  verifyReceipt: (input: PrintedReceipt) => verifyReceipt({ ...input, policy: parsePolicy(input.policy) }),
};

/** What turns bytes back into what they were made from: an example of the one is an example of the other. */
const inverses: Readonly<Record<string, Run>> = {
  encodeCbor: decodeCbor,
  encodeOpening: decodeOpening,
  encodeLeaf: decodeLeaf,
  formatEvidence: parseEvidence,
};

const page = readFileSync(fileURLToPath(new URL("../../docs/reference/formats.md", import.meta.url)), "utf8");

function blocksOf(language: string): string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map((match) => match[1] ?? "");
}

/** h'00ff' is a byte string, wherever it stands. */
function withBytes(value: unknown): unknown {
  if (typeof value === "string") return /^h'[0-9a-f]*'$/.test(value) ? decodeHex(value.slice(2, -1)) : value;
  if (Array.isArray(value)) return value.map(withBytes);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withBytes(inner)]));
}

/** Without prototypes and fields that are undefined, which make no difference here. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

function call(run: Run | undefined, inputs: unknown): unknown {
  if (run === undefined) throw new Error("the page has a function that this test does not know");
  return (run as (...inputs: unknown[]) => unknown)(...(inputs as unknown[]));
}

const examples = blocksOf("json").flatMap((block) => JSON.parse(block) as Example[]);

const numbered = examples.map((example, i) => ({ ...example, number: i + 1, inputs: withBytes(example.inputs) }));

test.each(numbered.filter(({ error }) => error === undefined))("example $number: $function", (example) => {
  const output = plain(call(functions[example.function], example.inputs));
  // Of some functions the page only says that they do not refuse.
  expect(output).toEqual(example.output === undefined ? output : withBytes(example.output));
});

test.each(numbered.filter(({ error }) => error !== undefined))("example $number: $function refuses", (example) => {
  const { offset, field } = example;
  const details = { ...(offset !== undefined && { offset }), ...(field !== undefined && { field }) };
  const refusal = expect.objectContaining({ code: example.error, details: expect.objectContaining(details) });
  expect(() => call(functions[example.function], example.inputs)).toThrow(refusal);
});

test.each(numbered.filter((example) => example.function in inverses))("example $number, read back", (example) => {
  const input = plain(call(inverses[example.function], [withBytes(example.output)]));
  expect([input]).toEqual(example.inputs);
});

test("every function of the page has an example", () => {
  expect(Object.keys(functions).filter((name) => !examples.some((example) => example.function === name))).toEqual([]);
});

test("every label of the page that is hashed or signed is in its list of labels, and the other way round", () => {
  const [body = "", list = ""] = page.split("## All labels");
  const labelsOf = (text: string): string[] => [...new Set(text.match(/tallystick\/[a-z-]+\/v\d+/g))].sort();
  expect(labelsOf(list)).toEqual(labelsOf(body));
});

test("the receipt, the head and the policy that are printed are those of the examples", () => {
  const printed = blocksOf("text");
  const receipt = examples.find((example) => example.function === "verifyReceipt")?.inputs[0] as PrintedReceipt;
  const head = examples.find((example) => example.function === "signNote")?.output as string;
  expect(printed).toContain(receipt.proof);
  expect(printed).toContain(receipt.policy);
  expect(printed).toContain(head);
});
