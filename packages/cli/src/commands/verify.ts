/** `verify`: what does this file prove, to somebody who trusts nothing but a policy? Reads no network. */
import {
  ClientError,
  FORK_FORMAT,
  type VerifiedErasure,
  type VerifiedReceipt,
  certificateOf,
  parseForkEvidence,
  verifyErasure,
  verifyForkEvidence,
  verifyReceipt,
} from "@tallystick/client";
import { type Policy, TallystickError, decodeBase64, decodeUtf8, encodeHex } from "@tallystick/core";
import { EVIDENCE_FORMAT, type Evidence, eventToJson, parseEvidence } from "@tallystick/events";
import { FileError, parseFile, readBounded } from "../bounded-file.ts";
import { type Command, EXIT, type ExitCode, type Invocation, UsageError, onlyWord } from "../command.ts";
import { showRefutation } from "../refutation.ts";
import { POLICY_OPTION, policyOf } from "../target.ts";
import { bold } from "../terminal.ts";
import { describeCertificate, describeEvent, describeReceipt } from "../words.ts";

/** A receipt with an opening of the largest event, and 64 post-quantum signature lines. */
const FILE_BYTES_MAX = 1024 * 1024;

export const verifyCommand: Command = {
  name: "verify",
  summary: "checks a receipt, an evidence file or the evidence of a fork, offline",
  usage: "FILE [--policy FILE] [--opening FILE | --certificate FILE…]",
  options: {
    ...POLICY_OPTION,
    certificate: {
      type: "string",
      multiple: true,
      value: "FILE",
      help: "evidence of a certificate (receipt --index N --evidence): was what this receipt is for erased under it?",
    },
    opening: { type: "string", value: "FILE", help: "base64 of the opening, to show a plain receipt's contents too" },
  },
  notes: [
    "The first word is VERIFIED, LOG-ONLY (no quorum of witnesses), ERASED (with --certificate: the entry is proven, and its",
    "contents are destroyed), CANNOT TELL (ordered to be erased, and not shown to be done) or REFUTED.",
    "Exit codes: 0 verified, 1 refuted, 2 cannot tell, 3 wrong usage.",
    "Example: tallystick verify 13.evidence.json --policy policy.txt",
  ],
  run: async (invocation) => {
    const path = onlyWord(invocation.words, "one FILE");
    const policy = await policyOf(invocation);
    const opening = await openingOf(invocation);
    const paths = invocation.texts("certificate");
    if (paths.length > 0 && opening !== undefined)
      throw new UsageError("--opening: expected without --certificate, which is for contents that are gone");
    const certificates = await Promise.all(paths.map(certificateIn));
    try {
      const bytes = await evidenceOf(path);
      if (paths.length === 0) return verifyFile({ bytes, policy, opening, invocation });
      return verifyErased({ bytes, policy, certificates, invocation });
    } catch (error) {
      if (error instanceof TallystickError) return showRefutation(invocation.terminal, error);
      throw error;
    }
  },
};

/** @throws {ClientError} `evidence-malformed`: no evidence is so large. */
async function evidenceOf(path: string): Promise<Uint8Array> {
  try {
    return await readBounded(path, FILE_BYTES_MAX);
  } catch (cause) {
    if (!(cause instanceof FileError)) throw cause;
    const text = `format: expected at most ${FILE_BYTES_MAX} bytes, got more`;
    throw new ClientError("evidence-malformed", text, { cause });
  }
}

async function openingOf(invocation: Invocation): Promise<Uint8Array | undefined> {
  const path = invocation.text("opening");
  if (path === undefined) return undefined;
  return parseFile(path, await readBounded(path, FILE_BYTES_MAX), (text) => decodeBase64(text.trim()));
}

async function certificateIn(path: string): Promise<Evidence> {
  return parseFile(path, await readBounded(path, FILE_BYTES_MAX), parseEvidence);
}

interface ErasedFile {
  readonly bytes: Uint8Array;
  readonly policy: Policy;
  readonly certificates: readonly Evidence[];
  readonly invocation: Invocation;
}

function verifyErased({ bytes, policy, certificates, invocation }: ErasedFile): ExitCode {
  const proof = decodeUtf8(bytes);
  if (proof.startsWith("{"))
    throw new UsageError(
      "--certificate: expected a plain receipt with it; this file has its contents, which nobody erased",
    );
  const erasure = verifyErasure({ proof, policy, certificates, requireQuorum: false, now: Date.now() });
  return showErasure(invocation, erasure, policy);
}

interface FileToVerify {
  readonly bytes: Uint8Array;
  readonly policy: Policy;
  /** Of a plain receipt. */
  readonly opening: Uint8Array | undefined;
  readonly invocation: Invocation;
}

function verifyFile({ bytes, policy, opening: given, invocation }: FileToVerify): ExitCode {
  const text = decodeUtf8(bytes);
  const format = text.startsWith("{") ? jsonFormat(text) : undefined;
  if (format !== undefined && given !== undefined)
    throw new UsageError("--opening: expected a plain receipt with it; this file has all of its own");
  if (format === FORK_FORMAT) return showFork(invocation, text, policy);
  const { proof, opening } = format === undefined ? { proof: text, opening: given } : parseEvidence(text);
  const receipt = verifyReceipt({
    proof,
    policy,
    requireQuorum: false,
    now: Date.now(),
    ...(opening === undefined ? {} : { opening }),
  });
  return showReceipt(invocation, receipt, policy);
}

/** Only tells the kinds of files apart; each is parsed strictly by its own parser. */
function jsonFormat(text: string): string {
  return text.includes(`"${FORK_FORMAT}"`) ? FORK_FORMAT : EVIDENCE_FORMAT;
}

function showReceipt({ terminal }: Invocation, receipt: VerifiedReceipt, policy: Policy): ExitCode {
  const verdict = receipt.quorumMet && !receipt.quorumNone ? "VERIFIED" : "LOG-ONLY";
  const { event, leaf } = receipt;
  const what = event === undefined ? `an entry of class ${leaf.class}` : describeEvent(event);
  const certificate = certificateOf(receipt);
  terminal.line(bold(verdict), `  ${what}`);
  for (const line of describeReceipt(receipt, policy)) terminal.line(line);
  if (certificate !== undefined) for (const line of describeCertificate(certificate)) terminal.line(line);
  if (!receipt.quorumMet) terminal.line(WITHOUT_QUORUM);
  terminal.value({
    verdict,
    ...valueOf(receipt),
    ...(event === undefined ? {} : { event: eventToJson(event) }),
  });
  // A policy without witnesses is met by the log's word alone, which its word and code both say.
  return verdict === "VERIFIED" ? EXIT.ok : EXIT.unknown;
}

const WITHOUT_QUORUM =
  "  refused at step quorum: the log alone says so, without the witnesses that the policy asks for";

function showErasure({ terminal }: Invocation, erasure: VerifiedErasure, policy: Policy): ExitCode {
  const { receipt, covering, done, lifted } = erasure;
  const receipts = [receipt, ...[covering, done, lifted].flatMap((each) => (each === undefined ? [] : [each.receipt]))];
  const isWitnessed = receipts.every(({ quorumMet, quorumNone }) => quorumMet && !quorumNone);
  const doubt = doubtOf(erasure);
  const verdict = doubt !== undefined ? "CANNOT TELL" : isWitnessed ? "ERASED" : "LOG-ONLY";
  const { receipt: of, certificate } = done ?? covering;
  terminal.line(bold(verdict), `  the contents of index ${receipt.index}, under the certificate of index ${of.index}`);
  for (const line of describeReceipt(receipt, policy)) terminal.line(line);
  for (const line of describeCertificate(certificate)) terminal.line(line);
  if (lifted !== undefined)
    terminal.line(
      `  hold     what a legal hold kept of it is destroyed under the certificate of index ${lifted.receipt.index}`,
    );
  for (const { index, quorumMet } of receipts) if (!quorumMet) terminal.line(`${WITHOUT_QUORUM} (index ${index})`);
  if (doubt !== undefined) terminal.line(`  unknown  ${doubt}`);
  terminal.line("  not shown: that nobody kept a copy, or a receipt with its opening");
  const { request, ground, state } = certificate;
  terminal.value({
    verdict: doubt === undefined ? verdict : "UNKNOWN",
    ...valueOf(receipt),
    certificate: {
      index: of.index,
      covering: covering.receipt.index,
      ...(lifted === undefined ? {} : { lifted: lifted.receipt.index }),
      request,
      ground,
      state,
    },
  });
  return verdict === "ERASED" ? EXIT.ok : EXIT.unknown;
}

/** Why a certificate that covers an entry does not show that its contents are gone. */
function doubtOf({ done, mayBeKept, receipt }: VerifiedErasure): string | undefined {
  if (done === undefined)
    return "it was ordered; give the evidence of the entry that says it is done as one more --certificate";
  if (!mayBeKept) return undefined;
  return `some entries of class ${receipt.leaf.class} were kept, for a hold or a duty: the log tells whether this one was; where a hold that kept it was lifted, give the evidence of the certificate that says so as one more --certificate`;
}

function valueOf(receipt: VerifiedReceipt): object {
  const { leaf } = receipt;
  return {
    origin: receipt.origin,
    index: receipt.index,
    size: receipt.size,
    rootHash: receipt.rootHash,
    loggedAt: leaf.loggedAt,
    cosignatures: receipt.cosignatures,
    untimely: receipt.untimely,
    // What the leaf says of its sender: the signature covers a batch, which is not in this file.
    claimed: { stream: encodeHex(leaf.stream), sequence: leaf.sequence, signatureChecked: false },
    quorumMet: receipt.quorumMet,
  };
}

function showFork({ terminal }: Invocation, text: string, policy: Policy): ExitCode {
  const { proven, reason, heads } = verifyForkEvidence({ evidence: parseForkEvidence(text), policy });
  const verdict = proven ? "REFUTED" : "CANNOT TELL";
  terminal.line(bold(verdict), `  ${proven ? "the log forked: " : ""}${reason}`);
  if (!proven) terminal.line(`  next: tallystick audit --log URL --head FILE, with this file`);
  terminal.value({
    verdict: proven ? "REFUTED" : "UNKNOWN",
    step: "fork",
    reason,
    sizes: heads.map(({ size }) => size),
  });
  return proven ? EXIT.refuted : EXIT.unknown;
}
