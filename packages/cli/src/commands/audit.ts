/** `audit`: rebuilds the whole log from what it serves and replays every rule of its leaves. */
import { type AuditReport, FORK_FORMAT, auditLog, createHttpLogReader, parseForkEvidence } from "@tallystick/client";
import { type Policy, TallystickError, parseCheckpoint, parseNote, parseTlogProof, quote } from "@tallystick/core";
import { parseEvidence } from "@tallystick/events";
import { parseFile, readBounded } from "../bounded-file.ts";
import { type Command, EXIT, type ExitCode, type Invocation, UsageError } from "../command.ts";
import { openingIn } from "../log-answer.ts";
import { requestLog } from "../log-request.ts";
import { LOG_OPTIONS, POLICY_OPTION, type Target, policyOf, targetOf } from "../target.ts";
import { bold } from "../terminal.ts";
import { describeCosigners, describeHash } from "../words.ts";

const FINDINGS_SHOWN = 20;
/** As large as evidence may be. */
const HEAD_FILE_BYTES_MAX = 1024 * 1024;

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
      ...(invocation.flag("contents") ? { openingOf: openingReader(target, invocation.signal) } : {}),
    });
    const foreign = heads.map(originOf).find((origin) => origin !== report.origin);
    if (foreign !== undefined)
      throw new UsageError(`--head: expected heads of ${report.origin}, got one of ${quote(foreign)}`);
    return show(invocation, report, policy);
  },
};

function withLog(invocation: Invocation, url: string): Invocation {
  return { ...invocation, text: (option) => (option === "log" ? url : invocation.text(option)) };
}

function tokenOf({ token }: Target): { token?: string } {
  return token === undefined ? {} : { token };
}

/** A head of another log says nothing about this one. */
function originOf(note: string): string {
  return parseCheckpoint(parseNote(note).text).origin;
}

/** The heads in a file, whatever kind of evidence it is. */
async function headsOf(path: string): Promise<readonly string[]> {
  return parseFile(path, await readBounded(path, HEAD_FILE_BYTES_MAX), headsIn);
}

function headsIn(text: string): readonly string[] {
  if (text.startsWith("{")) {
    return text.includes(`"${FORK_FORMAT}"`)
      ? parseForkEvidence(text).checkpoints
      : [parseTlogProof(parseEvidence(text).proof).checkpoint];
  }
  return [text.startsWith("c2sp.org/tlog-proof@") ? parseTlogProof(text).checkpoint : text];
}

function openingReader(target: Target, signal: AbortSignal): (index: number) => Promise<Uint8Array | undefined> {
  return async (index) => {
    try {
      return openingIn(await requestLog(target, { path: `v1/events/${index}`, signal }));
    } catch (error) {
      if (error instanceof TallystickError && error.details["status"] === 410) return undefined;
      throw error;
    }
  };
}

function show({ terminal }: Invocation, report: AuditReport, policy: Policy): ExitCode {
  const { verdict, origin, size, rootHash, counts, cosignatures, findings, findingsTotal } = report;
  terminal.line(bold(verdict), `  ${origin}, ${size} entries, root ${describeHash(rootHash)}`);
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
