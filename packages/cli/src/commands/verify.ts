/** `verify`: what does this file prove, to somebody who trusts nothing but a policy? Reads no network. */
import {
  ClientError,
  FORK_FORMAT,
  type VerifiedReceipt,
  parseForkEvidence,
  verifyForkEvidence,
  verifyReceipt,
} from "@tallystick/client";
import { type Policy, TallystickError, decodeBase64, decodeUtf8, encodeHex } from "@tallystick/core";
import { EVIDENCE_FORMAT, eventToJson, parseEvidence } from "@tallystick/events";
import { FileError, parseFile, readBounded } from "../bounded-file.ts";
import { type Command, EXIT, type ExitCode, type Invocation, UsageError, onlyWord } from "../command.ts";
import { showRefutation } from "../refutation.ts";
import { POLICY_OPTION, policyOf } from "../target.ts";
import { bold } from "../terminal.ts";
import { describeEvent, describeReceipt } from "../words.ts";

/** A receipt with an opening of the largest event, and 64 post-quantum signature lines. */
const FILE_BYTES_MAX = 1024 * 1024;

export const verifyCommand: Command = {
  name: "verify",
  summary: "checks a receipt, an evidence file or the evidence of a fork, offline",
  usage: "FILE [--policy FILE] [--opening FILE]",
  options: {
    ...POLICY_OPTION,
    opening: { type: "string", value: "FILE", help: "base64 of the opening, to show a plain receipt's contents too" },
  },
  notes: [
    "The first word is VERIFIED, LOG-ONLY (no quorum of witnesses), ERASED or REFUTED.",
    "Exit codes: 0 verified, 1 refuted, 2 cannot tell, 3 wrong usage.",
    "Example: tallystick verify 13.evidence.json --policy policy.txt",
  ],
  run: async (invocation) => {
    const path = onlyWord(invocation.words, "one FILE");
    const policy = await policyOf(invocation);
    const opening = await openingOf(invocation);
    try {
      return verifyFile({ bytes: await evidenceOf(path), policy, opening, invocation });
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
  terminal.line(bold(verdict), `  ${what}`);
  for (const line of describeReceipt(receipt, policy)) terminal.line(line);
  if (!receipt.quorumMet)
    terminal.line("  refused at step quorum: the log alone says so, without the witnesses that the policy asks for");
  terminal.value({
    verdict,
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
    ...(event === undefined ? {} : { event: eventToJson(event) }),
  });
  // A policy without witnesses is met by the log's word alone, which its word and code both say.
  return verdict === "VERIFIED" ? EXIT.ok : EXIT.unknown;
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
