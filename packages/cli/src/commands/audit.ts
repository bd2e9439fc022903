/** `audit`: rebuilds the whole log from what it serves and replays every rule of its leaves. */
import { readFile } from "node:fs/promises";
import {
  type AuditReport,
  FORK_FORMAT,
  auditLog,
  createHttpLogReader,
  exchange,
  parseForkEvidence,
} from "@tallystick/client";
import { type Policy, decodeBase64, decodeUtf8, parseTlogProof } from "@tallystick/core";
import { parseEvidence } from "@tallystick/events";
import { type Command, EXIT, type ExitCode, type Invocation, UsageError } from "../command.ts";
import { LOG_OPTIONS, POLICY_OPTION, type Target, policyOf, targetOf } from "../target.ts";
import { describeCosigners, describeHash } from "../words.ts";

const FINDINGS_SHOWN = 20;

export const auditCommand: Command = {
  name: "audit",
  summary: "rebuilds the whole tree of a log and checks every leaf, sequence, chain and signature",
  usage: "[URL] [--policy FILE] [--head FILE]… [--contents]",
  options: {
    ...LOG_OPTIONS,
    ...POLICY_OPTION,
    head: {
      type: "string",
      multiple: true,
      value: "FILE",
      help: "a receipt, evidence, checkpoint or fork file seen elsewhere: its heads must be in this history",
    },
    contents: { type: "boolean", help: "open every entry too (auditor's role; each read is itself logged)" },
  },
  notes: ["Exit codes: 0 verified, 1 refuted, 2 cannot tell (unreadable, or no quorum of witnesses), 3 wrong usage."],
  run: async (invocation) => {
    const [url, ...more] = invocation.words;
    if (more.length > 0) throw new UsageError("expected one URL");
    const target = await targetOf(url === undefined ? invocation : withLog(invocation, url), "auditor");
    const policy = await policyOf(invocation);
    const heads = (await Promise.all(invocation.texts("head").map(headsOf))).flat();
    const report = await auditLog({
      reader: createHttpLogReader({ ...tokenOf(target), url: target.url, signal: invocation.signal }),
      policy,
      heads,
      now: Date.now(),
      signal: invocation.signal,
      onProgress: (done, total) => invocation.terminal.progress("audit", done, total),
      ...(invocation.flag("contents") ? { openingOf: openingReader(target) } : {}),
    });
    return show(invocation, report, policy);
  },
};

function withLog(invocation: Invocation, url: string): Invocation {
  return { ...invocation, text: (option) => (option === "log" ? url : invocation.text(option)) };
}

function tokenOf({ token }: Target): { token?: string } {
  return token === undefined ? {} : { token };
}

/** The heads in a file, whatever kind of evidence it is. */
async function headsOf(path: string): Promise<readonly string[]> {
  const text = decodeUtf8(await readFile(path));
  if (text.startsWith("{")) {
    return text.includes(`"${FORK_FORMAT}"`)
      ? parseForkEvidence(text).checkpoints
      : [parseTlogProof(parseEvidence(text).proof).checkpoint];
  }
  return [text.startsWith("c2sp.org/tlog-proof@") ? parseTlogProof(text).checkpoint : text];
}

function openingReader({ url, token }: Target): (index: number) => Promise<Uint8Array | undefined> {
  return async (index) => {
    const answer = await exchange({
      fetch: globalThis.fetch,
      url: `${url}/v1/events/${index}`,
      timeoutMs: 15_000,
      bytesMax: 1024 * 1024,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    });
    if (answer.status === 410) return undefined;
    const value: unknown = JSON.parse(decodeUtf8(answer.body));
    const { opening, code } = value as { opening?: unknown; code?: unknown };
    if (answer.status === 200 && typeof opening === "string") return decodeBase64(opening);
    throw new Error(`entry ${index}: the log answered ${answer.status} ${String(code)} for its contents`);
  };
}

function show({ terminal }: Invocation, report: AuditReport, policy: Policy): ExitCode {
  const { verdict, origin, size, rootHash, counts, cosignatures, findings, findingsTotal } = report;
  terminal.line(`${terminal.bold(verdict)}  ${origin}, ${size} entries, root ${describeHash(rootHash)}`);
  terminal.line(
    `  entries  ${counts.signed} signed in ${counts.batches} batches by ${report.streams.size} streams, ${counts.unsigned} unsigned`,
  );
  terminal.line(`  chains   ${counts.tags} tags (sessions, actors, subjects, tenants)`);
  terminal.line(
    `  contents ${counts.opened === 0 ? "not opened (--contents opens them)" : `${counts.opened} opened, each matches its leaf`}`,
  );
  terminal.line(`  head     ${describeCosigners(cosignatures, policy)}`);
  for (const { code, index, message } of findings.slice(0, FINDINGS_SHOWN)) {
    terminal.line(`  ${index === undefined ? "log" : `index ${index}`}: ${message} (${code})`);
  }
  if (findingsTotal > FINDINGS_SHOWN)
    terminal.line(`  and ${findingsTotal - FINDINGS_SHOWN} more; --json lists a thousand`);
  terminal.line("  not shown: that applications told the truth, or reported everything");
  const streams = [...report.streams].map(([stream, { firstIndex, lastIndex, lastSequence }]) => ({
    stream,
    firstIndex,
    lastIndex,
    lastSequence,
  }));
  terminal.value({ ...report, streams });
  if (verdict === "REFUTED") return EXIT.refuted;
  return verdict === "VERIFIED" ? EXIT.ok : EXIT.unknown;
}
