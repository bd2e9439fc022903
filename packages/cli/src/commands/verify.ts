/** `verify`: what does this file prove, to somebody who trusts nothing but a policy? Reads no network. */
import { open, readFile } from "node:fs/promises";
import {
  ClientError,
  FORK_FORMAT,
  type VerifiedReceipt,
  parseForkEvidence,
  verifyForkEvidence,
  verifyReceipt,
} from "@tallystick/client";
import { type Policy, TallystickError, TlogError, concatBytes, decodeBase64, decodeUtf8 } from "@tallystick/core";
import { EVIDENCE_FORMAT, eventToJson, parseEvidence } from "@tallystick/events";
import { type Command, EXIT, type ExitCode, type Invocation, onlyWord } from "../command.ts";
import { POLICY_OPTION, policyOf } from "../target.ts";
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
    const bytes = await readBounded(path);
    try {
      return await verifyFile({ bytes, policy, invocation });
    } catch (error) {
      if (error instanceof TallystickError) return refuted(invocation, error);
      throw error;
    }
  },
};

/** The file, or as much of it as shows that it is too large. */
async function readBounded(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const parts: Uint8Array[] = [];
    for await (const part of file.createReadStream({ autoClose: false, end: FILE_BYTES_MAX }))
      parts.push(part as Uint8Array);
    return concatBytes(...parts);
  } finally {
    await file.close();
  }
}

interface FileToVerify {
  readonly bytes: Uint8Array;
  readonly policy: Policy;
  readonly invocation: Invocation;
}

async function verifyFile({ bytes, policy, invocation }: FileToVerify): Promise<ExitCode> {
  if (bytes.length > FILE_BYTES_MAX) {
    throw new ClientError("evidence-malformed", `format: expected at most ${FILE_BYTES_MAX} bytes, got more`);
  }
  const text = decodeUtf8(bytes);
  const format = text.startsWith("{") ? jsonFormat(text) : undefined;
  if (format === FORK_FORMAT) return showFork(invocation, text, policy);
  const { proof, opening } = format === undefined ? await plainReceipt(invocation, text) : parseEvidence(text);
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

async function plainReceipt(invocation: Invocation, proof: string): Promise<{ proof: string; opening?: Uint8Array }> {
  const path = invocation.text("opening");
  if (path === undefined) return { proof };
  return { proof, opening: decodeBase64((await readFile(path, "utf8")).trim()) };
}

function showReceipt({ terminal }: Invocation, receipt: VerifiedReceipt, policy: Policy): ExitCode {
  const verdict = receipt.quorumMet && !receipt.quorumNone ? "VERIFIED" : "LOG-ONLY";
  const { event, leaf } = receipt;
  const what = event === undefined ? `an entry of class ${leaf.class}` : describeEvent(event);
  terminal.line(`${terminal.bold(verdict)}  ${what}`);
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
    quorumMet: receipt.quorumMet,
    ...(event === undefined ? {} : { event: eventToJson(event) }),
  });
  // A policy without witnesses is met by the log's word alone, which its word and code both say.
  return verdict === "VERIFIED" ? EXIT.ok : EXIT.unknown;
}

function showFork({ terminal }: Invocation, text: string, policy: Policy): ExitCode {
  const { proven, reason, heads } = verifyForkEvidence({ evidence: parseForkEvidence(text), policy });
  const verdict = proven ? "REFUTED" : "CANNOT TELL";
  terminal.line(`${terminal.bold(verdict)}  ${proven ? "the log forked: " : ""}${reason}`);
  if (!proven) terminal.line(`  next: tallystick audit --log URL --head FILE, with this file`);
  terminal.value({
    verdict: proven ? "REFUTED" : "UNKNOWN",
    step: "fork",
    reason,
    sizes: heads.map(({ size }) => size),
  });
  return proven ? EXIT.refuted : EXIT.unknown;
}

function refuted({ terminal }: Invocation, error: TallystickError): ExitCode {
  const step =
    error instanceof ClientError && typeof error.details["step"] === "string" ? error.details["step"] : "format";
  const why = error.message.startsWith(`${step}: `) ? error.message.slice(step.length + 2) : error.message;
  terminal.line(`${terminal.bold("REFUTED")}  ${step}: ${why}`);
  const code = error instanceof TlogError || error instanceof ClientError ? error.code : "malformed";
  terminal.value({ verdict: "REFUTED", step, code, message: why });
  return EXIT.refuted;
}
