/** A log's key signs for its origin alone: the same key under another name convinces no reader. */
import {
  formatCheckpoint,
  formatTlogProof,
  parseCheckpoint,
  parseNote,
  parsePolicy,
  parseTlogProof,
  signatureLine,
} from "@tallystick/core";
import { describe, expect, test } from "vitest";
import { errorCode, rejectionCode } from "../../../test/support/errors.ts";
import {
  auditLog,
  createHttpLogReader,
  formatForkEvidence,
  parseForkEvidence,
  verifyForkEvidence,
  verifyReceipt,
} from "../src/index.ts";
import { LogDouble } from "./support/log-double.ts";
import { login, startClient, until } from "./support/setup.ts";

const OTHER = "log.example/other";

/** The head with another origin, signed by the same keys. */
function underOtherOrigin(log: LogDouble, note: string): string {
  const { size, rootHash } = parseCheckpoint(parseNote(note).text);
  const noteText = formatCheckpoint({ origin: OTHER, size, rootHash });
  const timestamp = Math.floor(log.now() / 1000);
  const lines = [log.signer, ...log.witnesses].map((signer) => signatureLine({ signer, noteText, timestamp }));
  return `${noteText}\n${lines.map((line) => `${line}\n`).join("")}`;
}

/** Serves the head under the other origin. */
function disguise(log: LogDouble): void {
  log.hooks.intercept = ({ path }) =>
    path === "checkpoint" ? new Response(underOtherOrigin(log, log.checkpoint())) : undefined;
}

describe("another origin under the log's key", () => {
  test("C-58 is refused by a client, which lets nothing go, and goes on once the head is right", async () => {
    const log = new LogDouble();
    const { client, errors } = startClient(log);
    await client.flush();
    disguise(log);
    const recorded = client.record(login(), { until: "witnessed" });
    await until(() => errors.length > 0, "an error");
    expect(errors[0]).toMatchObject({ code: "origin-unknown" });
    expect(client.status().unproved).toBe(1);
    log.hooks = {};
    expect(await recorded).toMatchObject({ state: "witnessed" });
  });

  test("C-58 is refused by an audit, as the log's head and as one seen elsewhere", async () => {
    const log = new LogDouble();
    const { client } = startClient(log);
    await client.record(login(), { until: "witnessed" });
    const options = {
      reader: createHttpLogReader({ url: log.url, fetch: log.fetch }),
      policy: parsePolicy(log.policyText),
    };
    expect((await auditLog(options)).verdict).toBe("VERIFIED");
    const heads = [underOtherOrigin(log, log.checkpoint())];
    expect(await rejectionCode(auditLog({ ...options, heads }))).toBe("origin-unknown");
    disguise(log);
    expect(await rejectionCode(auditLog(options))).toBe("origin-unknown");
  });

  test("C-58 is refused in a receipt and in evidence of a fork", async () => {
    const log = new LogDouble();
    const { client } = startClient(log);
    const { receipt = "" } = await client.record(login(), { until: "witnessed" });
    const proof = parseTlogProof(receipt);
    const moved = formatTlogProof({ ...proof, checkpoint: underOtherOrigin(log, proof.checkpoint) });
    const policy = parsePolicy(log.policyText);
    expect(verifyReceipt({ proof: receipt, policy }).origin).toBe(log.origin);
    expect(() => verifyReceipt({ proof: moved, policy })).toThrow(/log\.example\/other/);
    const checkpoints = [log.checkpoint(), underOtherOrigin(log, log.checkpoint())] as const;
    const evidence = parseForkEvidence(formatForkEvidence({ origin: log.origin, checkpoints }));
    expect(errorCode(() => verifyForkEvidence({ evidence, policy }))).toBe("origin-unknown");
  });
});
