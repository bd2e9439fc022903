/** `receipt`: fetches the receipt of an entry, verifies it, and writes it to a file. */
import { writeFile } from "node:fs/promises";
import { ClientError, type VerifiedReceipt, verifyReceipt } from "@tallystick/client";
import type { Policy } from "@tallystick/core";
import { formatEvidence } from "@tallystick/events";
import {
  type Command,
  EXIT,
  type ExitCode,
  type Invocation,
  type OptionSpec,
  UsageError,
  onlyWord,
  wholeNumber,
} from "../command.ts";
import { openingIn, textIn } from "../log-answer.ts";
import { requestLog } from "../log-request.ts";
import { PURPOSE_OPTION, withPurpose } from "../purpose.ts";
import { showRefutation } from "../refutation.ts";
import { LOG_OPTIONS, POLICY_OPTION, type Target, policyOf, targetOf } from "../target.ts";
import { bold } from "../terminal.ts";
import { describeReceipt } from "../words.ts";

const OUT: OptionSpec = {
  type: "string",
  value: "FILE",
  help: "where to write it (N.tlog-proof or N.evidence.json); - for stdout",
};

export const receiptCommand: Command = {
  name: "receipt",
  summary: "fetches and verifies the receipt of an entry, with its contents where asked",
  usage: "INDEX [--evidence] [--out FILE]",
  options: {
    ...LOG_OPTIONS,
    ...POLICY_OPTION,
    out: OUT,
    evidence: {
      type: "boolean",
      help: "with the opening, which proves the contents too (auditor's role; the read is logged)",
    },
    ...PURPOSE_OPTION,
    all: { type: "boolean", help: "keep every signature of the head, post-quantum ones included" },
  },
  notes: [
    "Exit codes: 0 verified and written, 1 refuted, so nothing is written, 2 cannot tell (no receipt yet, or one without",
    "a quorum of witnesses, which is written), 3 wrong usage.",
  ],
  run: async (invocation) => {
    const index = wholeNumber(onlyWord(invocation.words, "one INDEX"), "INDEX");
    if (invocation.flag("json") && invocation.text("out") === "-")
      throw new UsageError("--out -: expected no --json with it: the receipt itself goes to stdout");
    const target = await targetOf(invocation, "auditor");
    const policy = await policyOf(invocation);
    const { proof, opening } = await fetchReceipt(invocation, target, index);
    let receipt: VerifiedReceipt;
    try {
      receipt = verifyReceipt({
        proof,
        policy,
        expect: { index },
        now: Date.now(),
        requireQuorum: false,
        ...(opening === undefined ? {} : { opening }),
      });
    } catch (error) {
      if (error instanceof ClientError) return showRefutation(invocation.terminal, error);
      throw error;
    }
    const path = invocation.text("out") ?? `${index}.${opening === undefined ? "tlog-proof" : "evidence.json"}`;
    const text = opening === undefined ? proof : formatEvidence({ proof, opening });
    if (path === "-") invocation.terminal.write(text);
    else await writeFile(path, text);
    return show(invocation, { path, receipt, policy });
  },
};

interface Fetched {
  readonly proof: string;
  readonly opening?: Uint8Array;
}

async function fetchReceipt(invocation: Invocation, target: Target, index: number): Promise<Fetched> {
  const { signal } = invocation;
  const query = invocation.flag("all") ? "?signatures=all" : "";
  const proof = textIn(await requestLog(target, { path: `v1/receipts/${index}${query}`, signal }), "receipt");
  if (!invocation.flag("evidence")) return { proof };
  return {
    proof,
    opening: openingIn(await requestLog(target, { path: withPurpose(`v1/events/${index}`, invocation), signal })),
  };
}

interface Written {
  readonly path: string;
  readonly receipt: VerifiedReceipt;
  readonly policy: Policy;
}

function show({ terminal }: Invocation, { path, receipt, policy }: Written): ExitCode {
  const { index, origin, size, quorumMet, quorumNone } = receipt;
  // A policy without witnesses is met by the log's word alone, as verify says too.
  const witnessed = quorumMet && !quorumNone;
  if (path !== "-") {
    terminal.line(bold(path), `  ${witnessed ? "verified" : "verified as the log's word alone: no quorum"}`);
    for (const line of describeReceipt(receipt, policy)) terminal.line(line);
    terminal.value({ file: path, index, origin, size, quorumMet });
  }
  return witnessed ? EXIT.ok : EXIT.unknown;
}
