/** `fsck`: the operator's check of a stopped log's disk. */
import { access, readFile } from "node:fs/promises";
import { type FsckOptions, type FsckReport, fsckLog, repairLog } from "@tallystick/log";
import { logLayoutOf, masterKeyOf, readLogKeys, readServer } from "@tallystick/server";
import { openKeyStore, openLevelStorage } from "@tallystick/storage";
import { type Command, EXIT, type ExitCode, type Invocation, UsageError, noWords } from "../command.ts";
import { bold } from "../terminal.ts";
import { plural } from "../words.ts";

const FINDINGS_SHOWN = 20;

export const fsckCommand: Command = {
  name: "fsck",
  summary: "checks the disk of a stopped log: every entry, tile, head, index and sealed event",
  usage: "--dir DIR [--name LOG] [--repair]",
  options: {
    dir: { type: "string", value: "DIR", help: "the server's folder (.tallystick/log for that of dev)" },
    name: { type: "string", value: "LOG", help: "the log, where the server has several" },
    repair: { type: "boolean", help: "rebuild from the entries what is wrong in tiles and indexes, and check again" },
  },
  notes: ["Exit codes: 0 whole, 1 damaged, 2 could not be checked (the log is running, say), 3 wrong usage."],
  run: async (invocation) => {
    noWords(invocation.words);
    const dir = invocation.text("dir");
    if (dir === undefined) throw new UsageError("--dir: expected the server's folder");
    const { config } = await readServer(dir);
    const wanted = invocation.text("name") ?? (config.logs.length === 1 ? config.logs[0]?.name : undefined);
    const log = config.logs.find(({ name }) => name === wanted);
    if (log === undefined)
      throw new UsageError(`--name: expected one of ${config.logs.map(({ name }) => name).join(", ")}`);
    return check(invocation, { dir, name: log.name, origin: log.origin });
  },
};

interface LogToCheck {
  readonly dir: string;
  readonly name: string;
  readonly origin: string;
}

async function check(invocation: Invocation, { dir, name, origin }: LogToCheck): Promise<ExitCode> {
  const { terminal, signal } = invocation;
  const layout = logLayoutOf(dir, name);
  const { signers, retired = [] } = await readLogKeys(layout);
  // A folder that is not there would be made anew, and an empty log found whole.
  for (const path of [layout.data, layout.keyStore]) await access(path);
  const storage = await openLevelStorage({ path: layout.data });
  try {
    const keyStore = await openKeyStore({ path: layout.keyStore, masterKey: await masterKeyOf(dir) });
    try {
      const options: FsckOptions = {
        storage,
        keyStore,
        origin,
        rulesTexts: await rulesTextsOf(layout.rules),
        verifiers: [...signers.map(({ verifier }) => verifier), ...retired],
        signal,
        onProgress: (done, total) => terminal.progress("fsck", done, total),
      };
      return invocation.flag("repair") ? await repair(invocation, options) : show(invocation, await fsckLog(options));
    } finally {
      await keyStore.close();
    }
  } finally {
    await storage.close();
  }
}

/** The file of rules, if there is one: a log keeps their text and, in its entries, their digest only. */
async function rulesTextsOf(path: string): Promise<readonly string[]> {
  try {
    return [await readFile(path, "utf8")];
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

/** Says what was rebuilt, then what is found now. */
async function repair(invocation: Invocation, options: FsckOptions): Promise<ExitCode> {
  const { written, refusal, after } = await repairLog(options);
  const rebuilt = Object.entries(written).map(([table, count]) => `${count} ${table}`);
  const told = rebuilt.length > 0 ? `rebuilt: ${rebuilt.join(", ")}` : "nothing rebuilt";
  invocation.terminal.line(refusal === undefined ? told : `${told}: ${refusal}`);
  return show(invocation, after, { written, ...(refusal === undefined ? {} : { refusal }) });
}

function show(
  { terminal }: Invocation,
  { ok, origin, size, findings, findingsTotal, counts }: FsckReport,
  more: Readonly<Record<string, unknown>> = {},
): ExitCode {
  terminal.line(
    bold(ok ? "WHOLE" : "DAMAGED"),
    `  ${origin}, ${plural(size, "entry", "entries")}, ${counts.opened} opened, ${counts.erased} erased, ${counts.lost === 0 ? "" : `${counts.lost} lost, `}${plural(counts.streams, "stream")}, ${plural(counts.tags, "tag")}`,
  );
  for (const { code, index, message, remedy } of findings.slice(0, FINDINGS_SHOWN)) {
    terminal.line(`  ${index === undefined ? "log" : `index ${index}`}: ${message} (${code})`);
    terminal.line(`    next: ${remedy}`);
  }
  if (findingsTotal > FINDINGS_SHOWN)
    terminal.line(`  and ${findingsTotal - FINDINGS_SHOWN} more; --json lists a thousand`);
  terminal.value({ ok, origin, size, counts, findings, findingsTotal, ...more });
  return ok ? EXIT.ok : EXIT.refuted;
}
