/** `audit`: rebuilds the whole log from what it serves and replays every rule of its leaves. */
import {
  type AuditReport,
  type AuditedStream,
  FORK_FORMAT,
  HEAD_AGE_WARN_MS,
  auditLog,
  createHttpLogReader,
  parseForkEvidence,
} from "@tallystick/client";
import { type Policy, decodeHex, encodeHex, parseCheckpoint, parseNote, parseTlogProof, quote } from "@tallystick/core";
import { parseEvidence } from "@tallystick/events";
import type { SessionReplayReport } from "@tallystick/sessions/replay";
import { parseFile, readBounded } from "../bounded-file.ts";
import { type Command, EXIT, type ExitCode, type Invocation, UsageError } from "../command.ts";
import { openingReader, openingsReader } from "../opening-reader.ts";
import { PURPOSE_OPTION } from "../purpose.ts";
import { SessionsAudit, momentOf } from "../sessions-audit.ts";
import { LOG_OPTIONS, POLICY_OPTION, type Target, policyOf, targetOf } from "../target.ts";
import { bold } from "../terminal.ts";
import { describeAge, describeCosigners, describeHash, describeTime, plural } from "../words.ts";

const FINDINGS_SHOWN = 20;
const STREAMS_SHOWN = 100;
/** As large as evidence may be. */
const HEAD_FILE_BYTES_MAX = 1024 * 1024;

export const auditCommand: Command = {
  name: "audit",
  summary: "rebuilds the whole tree of a log and checks every leaf, sequence, chain and signature",
  usage:
    "[URL] [--policy FILE] [--head FILE]… [--sender-key KEY]… [--contents | --certificates | --sessions [--at TIME]]",
  options: {
    ...LOG_OPTIONS,
    ...POLICY_OPTION,
    head: {
      type: "string",
      multiple: true,
      value: "FILE",
      help: "a receipt, evidence, checkpoint or fork file seen elsewhere: its heads must be in this history",
    },
    "sender-key": {
      type: "string",
      multiple: true,
      value: "KEY",
      help: "64 hex digits: a sender key that is expected, the log's own too; streams of others are a finding",
    },
    contents: {
      type: "boolean",
      help: "open every entry too: each opens, or a certificate of an erasure covers it (auditor's role; the log notes that)",
    },
    certificates: {
      type: "boolean",
      help: "open the log's own entries only, and check what its certificates of erasure say",
    },
    sessions: {
      type: "boolean",
      help: "open every entry too, and replay every session: what its limits did not allow is named by index",
    },
    at: {
      type: "string",
      value: "TIME",
      help: "with --sessions: show the sessions that were open then, RFC 3339 or ms since 1970",
    },
    ...PURPOSE_OPTION,
  },
  notes: [
    "The first word is VERIFIED, LOG-ONLY (no quorum of witnesses), CONTENTS-WITHHELD (--contents, and some were erased while",
    "the audit ran: audit again), RULES-WITHHELD (the log does not show rules that may have promised a longer time to what is",
    "destroyed), SESSIONS-UNJUDGED (--sessions, and there were more than it can follow) or REFUTED.",
    "An open stream may have been cut: compare its last sequence with its sender's.",
    "Exit codes: 0 verified, 1 refuted, 2 cannot tell (unreadable, log-only, contents or rules withheld), 3 wrong usage.",
  ],
  run: async (invocation) => {
    const [url, ...more] = invocation.words;
    if (more.length > 0) throw new UsageError("expected one URL");
    const ownEntriesOnly = invocation.flag("certificates");
    const sessions = sessionsAuditOf(invocation);
    const opensAll = sessions !== undefined || invocation.flag("contents");
    if (ownEntriesOnly && opensAll) {
      const other = sessions === undefined ? "--contents" : "--sessions";
      throw new UsageError(`--certificates: expected it without ${other}, which checks certificates too`);
    }
    const target = await targetOf(url === undefined ? invocation : withLog(invocation, url), "auditor");
    const policy = await policyOf(invocation);
    const senderKeys = invocation.texts("sender-key").map(senderKeyOf);
    const heads = (await Promise.all(invocation.texts("head").map(headsOf))).flat();
    const report = await auditLog({
      reader: createHttpLogReader({
        ...tokenOf(target),
        url: target.url,
        fetch: target.fetch,
        signal: invocation.signal,
      }),
      policy,
      heads,
      ...(senderKeys.length === 0 ? {} : { senderKeys }),
      now: Date.now(),
      signal: invocation.signal,
      onProgress: (done, total) => invocation.terminal.progress("audit", done, total),
      ...(opensAll || ownEntriesOnly
        ? {
            openingOf: openingReader(target, invocation),
            openingsOf: openingsReader(target, invocation),
            // Rules need code of the log's own, and only where something is destroyed.
            promisedBy: async (digest) =>
              (await import("../promise-reader.ts")).promiseReader(target, invocation)(digest),
            ownEntriesOnly,
          }
        : {}),
      ...(sessions === undefined ? {} : { onEntry: (entry) => sessions.follow(entry) }),
    });
    const foreign = heads.map(originOf).find((origin) => origin !== report.origin);
    if (foreign !== undefined)
      throw new UsageError(`--head: expected heads of ${report.origin}, got one of ${quote(foreign)}`);
    return show(invocation, { report, policy, sessions });
  },
};

function sessionsAuditOf({ flag, text }: Invocation): SessionsAudit | undefined {
  const at = text("at");
  if (flag("sessions")) return new SessionsAudit(at === undefined ? undefined : momentOf(at));
  if (at === undefined) return undefined;
  throw new UsageError("--at: expected it with --sessions");
}

function withLog(invocation: Invocation, url: string): Invocation {
  return { ...invocation, text: (option) => (option === "log" ? url : invocation.text(option)) };
}

function tokenOf({ token }: Target): { token?: string } {
  return token === undefined ? {} : { token };
}

function senderKeyOf(text: string): Uint8Array {
  if (/^[0-9a-f]{64}$/.test(text)) return decodeHex(text);
  throw new UsageError(`--sender-key: expected 64 lower-case hex digits, got ${quote(text)}`);
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

interface Audited {
  readonly report: AuditReport;
  readonly policy: Policy;
  readonly sessions: SessionsAudit | undefined;
}

function show(invocation: Invocation, { report, policy, sessions }: Audited): ExitCode {
  const { terminal } = invocation;
  const { origin, size, rootHash, counts, cosignatures, untimely, findings, findingsTotal } = report;
  const replayed = sessions?.finish();
  const verdict = verdictWith(report, replayed);
  terminal.line(bold(verdict), `  ${origin}, ${plural(size, "entry", "entries")}, root ${describeHash(rootHash)}`);
  const senders = `${plural(counts.batches, "batch", "batches")} by ${plural(report.streams.size, "stream")}`;
  terminal.line(`  entries  ${counts.signed} signed in ${senders}, ${counts.unsigned} unsigned`);
  terminal.line(`  chains   ${plural(counts.tags, "tag")} (sessions, actors, subjects, tenants)`);
  terminal.line(`  contents ${describeContents(report, invocation)}`);
  for (const digest of report.rulesWithheld)
    terminal.line(
      `  rules    of digest ${digest} are not shown: they may have promised a longer time to what is destroyed`,
    );
  if (counts.erasuresOrdered > 0)
    terminal.line(`  erasures ${counts.erasuresOrdered} ordered, ${counts.erasuresDone} of them done`);
  terminal.line(`  head     ${describeCosigners(cosignatures, policy)}`);
  if (untimely.length > 0) terminal.line(`  clocks   too early to count: ${describeCosigners(untimely, policy)}`);
  for (const line of describeStreams(report)) terminal.line(line);
  for (const { code, index, message } of findings.slice(0, FINDINGS_SHOWN)) {
    terminal.line(`  ${index === undefined ? "log" : `index ${index}`}: ${message} (${code})`);
  }
  if (findingsTotal > FINDINGS_SHOWN)
    terminal.line(`  and ${findingsTotal - FINDINGS_SHOWN} more; --json lists a thousand`);
  if (sessions !== undefined) for (const line of sessions.lines()) terminal.line(line);
  if (isStale(report)) {
    const age = describeAge(report.headAgeMs ?? 0);
    const text = `the newest cosignature is ${age} old: nothing was logged since, or a newer head is kept from you`;
    terminal.line(`  warning  ${text}; ask the witnesses for theirs and give it as --head`);
  }
  terminal.line("  not shown: that applications told the truth, or reported everything");
  const streams = [...report.streams].map(([stream, { publicKey, ...state }]) => ({
    stream,
    senderKey: encodeHex(publicKey),
    ...state,
  }));
  terminal.value({
    ...report,
    verdict,
    stale: isStale(report),
    streams,
    ...(sessions === undefined ? {} : { sessions: sessions.value() }),
  });
  if (verdict === "REFUTED") return EXIT.refuted;
  return verdict === "VERIFIED" ? EXIT.ok : EXIT.unknown;
}

/** What was verified of the log holds, and what sessions came to is part of the word all the same. */
function verdictWith({ verdict }: AuditReport, replayed: SessionReplayReport | undefined): string {
  if (replayed === undefined || verdict === "REFUTED") return verdict;
  if (replayed.findingsTotal > 0) return "REFUTED";
  return verdict === "VERIFIED" && replayed.counts.unjudged > 0 ? "SESSIONS-UNJUDGED" : verdict;
}

function isStale({ headAgeMs = 0 }: AuditReport): boolean {
  return headAgeMs > HEAD_AGE_WARN_MS;
}

function describeContents({ counts, withheld: [first] }: AuditReport, { flag }: Invocation): string {
  const { opened, erased, withheld } = counts;
  if (!flag("contents") && !flag("certificates") && !flag("sessions")) return "not opened (--contents opens them)";
  const parts = [opened === 0 ? "none opened" : `${opened} opened, each matches its leaf`];
  if (flag("certificates")) parts.push("the log's own only");
  if (erased > 0) parts.push(`${erased} erased, as certificates say`);
  if (withheld > 0)
    parts.push(`${withheld} erased meanwhile, from index ${first} on: nothing is known of them, audit again`);
  return parts.join("; ");
}

/** One line for each signed stream: whose key, how far it came, and whether its sender ended it. */
function describeStreams({ streams }: AuditReport): string[] {
  const lines = [...streams].slice(0, STREAMS_SHOWN).map(([stream, state]) => {
    const last = `last sequence ${state.lastSequence}, logged ${describeTime(state.lastLoggedAt)}`;
    return `  stream   ${stream.slice(0, 8)}… of sender key ${encodeHex(state.publicKey)}: ${last}, ${TAILS[state.tail]}`;
  });
  return streams.size > STREAMS_SHOWN
    ? [...lines, `  and ${streams.size - STREAMS_SHOWN} more streams; --json lists them`]
    : lines;
}

const TAILS: Readonly<Record<AuditedStream["tail"], string>> = {
  ended: "ended",
  "open-or-cut": "open or cut",
  unknown: "ended, open or cut (--contents tells if it ended)",
};
