/** `receipt`: fetches the receipt of an entry, verifies it, and writes it to a file. */
import { writeFile } from "node:fs/promises";
import { verifyReceipt } from "@tallystick/client";
import { decodeBase64, decodeUtf8 } from "@tallystick/core";
import { formatEvidence } from "@tallystick/events";
import { type Command, EXIT, type OptionSpec, onlyWord, wholeNumber } from "../command.ts";
import { jsonOf, requestLog } from "../log-request.ts";
import { LOG_OPTIONS, POLICY_OPTION, type Target, policyOf, targetOf } from "../target.ts";
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
    all: { type: "boolean", help: "keep every signature of the head, post-quantum ones included" },
  },
  run: async (invocation) => {
    const { terminal, signal } = invocation;
    const index = wholeNumber(onlyWord(invocation.words, "one INDEX"), "INDEX");
    const target = await targetOf(invocation, "auditor");
    const policy = await policyOf(invocation);
    const query = invocation.flag("all") ? "?signatures=all" : "";
    const proof = decodeUtf8((await requestLog(target, { path: `v1/receipts/${index}${query}`, signal })).body);
    const opening = invocation.flag("evidence") ? await openingOf(target, index) : undefined;
    const receipt = verifyReceipt({
      proof,
      policy,
      expect: { index },
      now: Date.now(),
      requireQuorum: false,
      ...(opening === undefined ? {} : { opening }),
    });
    const text = opening === undefined ? proof : formatEvidence({ proof, opening });
    const path = invocation.text("out") ?? `${index}.${opening === undefined ? "tlog-proof" : "evidence.json"}`;
    if (path === "-") {
      terminal.write(text);
      return EXIT.ok;
    }
    await writeFile(path, text);
    terminal.line(
      `${terminal.bold(path)}  ${receipt.quorumMet ? "verified" : "verified as the log's word alone: no quorum"}`,
    );
    for (const line of describeReceipt(receipt, policy)) terminal.line(line);
    terminal.value({ file: path, index, origin: receipt.origin, size: receipt.size, quorumMet: receipt.quorumMet });
    return receipt.quorumMet ? EXIT.ok : EXIT.unknown;
  },
};

async function openingOf(target: Target, index: number): Promise<Uint8Array> {
  const { opening } = jsonOf(await requestLog(target, { path: `v1/events/${index}` })) as { opening: string };
  return decodeBase64(opening);
}
