/** `dev`: a log and three witnesses on this machine, for trying things out. All it makes is in one folder. */
import { type ChildProcess, spawn } from "node:child_process";
import { access, mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join, relative, resolve } from "node:path";
import { parsePolicy, utf8 } from "@tallystick/core";
import {
  type InitializedServer,
  type ServedLogs,
  UNSCOPED_ROLES,
  type UnscopedRole,
  createToken,
  initServer,
  layoutOf,
  logLayoutOf,
  readServer,
  serveLogs,
  writePolicy,
} from "@tallystick/server";
import { lockFolder, writeFileDurably } from "@tallystick/storage";
import { addLog, initWitness, readWitnessKeys } from "@tallystick/witness";
import { type Command, EXIT, type ExitCode, type Invocation, UsageError, noWords, wholeNumber } from "../command.ts";
import { commandLine, quoteWord } from "../command-line.ts";
import { DEV_FOLDER, type DevFile, readDevFile } from "../dev-file.ts";
import { bold } from "../terminal.ts";
import { untilAborted } from "../wait.ts";

const LOG_NAME = "app";
const ORIGIN = "dev.localhost/app";
const WITNESSES = ["dev-1", "dev-2", "dev-3"];
const QUORUM = 2;
const HOST = "127.0.0.1";
const PORT = 7420;
/** A witness that has not said where it listens by then has failed. */
const WITNESS_START_MS = 15_000;

export const devCommand: Command = {
  name: "dev",
  summary: "runs a log and three witnesses on this machine, for trying things out",
  usage: "[--dir DIR] [--port PORT]",
  options: {
    dir: { type: "string", value: "DIR", help: `the folder to make ${DEV_FOLDER} in (the current one by default)` },
    port: { type: "string", value: "PORT", help: `the log's port (by default ${PORT}, or a free one if it is taken)` },
  },
  notes: [
    `All it makes is in ${DEV_FOLDER}/; remove that folder to begin anew. The other commands find it in their folder.`,
    "Each witness is a process of its own: end one by its number, and start it again as dev then says.",
  ],
  run: async (invocation) => {
    noWords(invocation.words);
    const port = wholeNumber(invocation.text("port") ?? String(PORT), "--port");
    if (port > 65_535) throw new UsageError(`--port: expected a port, at most 65535, got ${port}`);
    if (invocation.text("port") !== undefined && port !== 0 && (await freePort(port)) === 0)
      throw new UsageError(`--port: ${port} is taken; without the option a free one is found`);
    const folder = resolve(invocation.text("dir") ?? ".");
    const dir = join(folder, DEV_FOLDER);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const lock = await lockFolder(dir);
    try {
      return await runAll(invocation, { dir, port, before: await readDevFile(folder) });
    } finally {
      await lock.release();
    }
  },
};

interface DevOptions {
  /** The folder of everything. */
  readonly dir: string;
  readonly port: number;
  /** What the last start left. */
  readonly before: DevFile | undefined;
}

async function runAll(invocation: Invocation, { dir, port, before }: DevOptions): Promise<ExitCode> {
  const setup = await setUp(dir, before);
  const witnesses = await startWitnesses(dir, before, invocation);
  let served: ServedLogs | undefined;
  try {
    served = await startLog({ dir, witnesses, setup, port });
    const dev = await writeDevFile(dir, { served, setup, witnesses });
    announce(invocation, dev, witnesses);
    await untilAborted(invocation.signal);
  } finally {
    for (const { child } of witnesses) child.kill("SIGTERM");
    await served?.close();
  }
  invocation.terminal.line("stopped");
  return EXIT.ok;
}

type Tokens = Readonly<Record<UnscopedRole, string>>;

interface Setup {
  readonly vkeys: readonly string[];
  readonly tokens: Tokens;
}

interface RunningWitness {
  readonly name: string;
  readonly dir: string;
  readonly vkeys: readonly string[];
  readonly url: string;
  readonly child: ChildProcess;
}

function witnessDir(dir: string, name: string): string {
  return join(dir, "witnesses", name);
}

/** Makes what is not there yet; what is there stays. */
async function setUp(dir: string, before: DevFile | undefined): Promise<Setup> {
  const witnesses = [];
  for (const name of WITNESSES) {
    const folder = witnessDir(dir, name);
    if (!(await exists(join(folder, "witness.json"))))
      await initWitness({ dir: folder, name: `dev.localhost/${name}` });
    witnesses.push({ name, vkeys: [...(await readWitnessKeys({ dir: folder })).vkeys], url: `http://${HOST}` });
  }
  const logDir = join(dir, "log");
  const made: InitializedServer | undefined = (await exists(layoutOf(logDir).config))
    ? undefined
    : await initServer({
        dir: logDir,
        name: LOG_NAME,
        origin: ORIGIN,
        host: HOST,
        port: PORT,
        witnesses,
        quorum: QUORUM,
        pinFirstSenderKey: true,
      });
  const vkeys = made?.vkeys ?? (await readServer(logDir)).logs[0]?.vkeys ?? [];
  for (const name of WITNESSES) for (const vkey of vkeys) await addLog({ dir: witnessDir(dir, name), vkey });
  return { vkeys, tokens: made?.tokens ?? (await allTokens(logDir, before?.log.tokens ?? {})) };
}

/** Those that are known, and new ones of other roles: for a folder whose dev.json was removed, or knew fewer roles. */
async function allTokens(logDir: string, known: Partial<Tokens>): Promise<Tokens> {
  const tokens: Partial<Record<UnscopedRole, string>> = { ...known };
  for (const role of UNSCOPED_ROLES)
    tokens[role] ??= (await createToken(layoutOf(logDir).tokens, { log: LOG_NAME, role, initial: true })).token;
  return tokens as Tokens;
}

async function startWitnesses(
  dir: string,
  before: DevFile | undefined,
  invocation: Invocation,
): Promise<RunningWitness[]> {
  return Promise.all(
    WITNESSES.map(async (name) => {
      const folder = witnessDir(dir, name);
      const { vkeys } = await readWitnessKeys({ dir: folder });
      const known = before?.witnesses.find((witness) => witness.name === name)?.url;
      const port = known === undefined ? 0 : await freePort(Number(new URL(known).port));
      const { child, url } = await startWitness(folder, port);
      child.once("exit", (code, signal) => {
        if (!invocation.signal.aborted)
          invocation.terminal.trouble(
            `witness ${name} ended (${signal ?? code}); start it again with: ${commandLine()} witness serve --dir ${relative(process.cwd(), folder)} --listen ${new URL(url).host}`,
          );
      });
      return { name, dir: folder, vkeys, url, child };
    }),
  );
}

async function startWitness(folder: string, port: number): Promise<{ child: ChildProcess; url: string }> {
  const [script = ""] = process.argv.slice(1);
  const args = [...process.execArgv, script, "witness", "serve", "--dir", folder, "--listen", `${HOST}:${port}`];
  // Its own process group, so that Ctrl-C reaches it once and through us; the channel's end tells it when we are gone.
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit", "ipc"], detached: true });
  const url = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`the witness in ${folder} did not start within ${WITNESS_START_MS} ms`)),
      WITNESS_START_MS,
    );
    child.once("message", (message) => {
      clearTimeout(timer);
      resolve((message as { url: string }).url);
    });
    child.once("error", reject);
    child.once("exit", (code) =>
      reject(new Error(`the witness in ${folder} ended with code ${code ?? "none"}; its words are above`)),
    );
  });
  return { child, url };
}

/** The port if nobody has it, else 0: any that is free. */
async function freePort(port: number): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(0));
    probe.listen(port, HOST, () => probe.close(() => resolve(port)));
  });
}

interface StartLog {
  readonly dir: string;
  readonly witnesses: readonly RunningWitness[];
  readonly setup: Setup;
  readonly port: number;
}

async function startLog({ dir, witnesses, setup, port }: StartLog): Promise<ServedLogs> {
  const logDir = join(dir, "log");
  const layout = logLayoutOf(logDir, LOG_NAME);
  const signers = setup.vkeys.map((vkey) => ({ vkey }));
  await writePolicy({ layout, signers, witnesses, quorum: QUORUM });
  const witnessUrls = Object.fromEntries(witnesses.map(({ name, url }) => [name, url]));
  return serveLogs({ dir: logDir, host: HOST, port: await freePort(port), witnessUrls });
}

interface Running {
  readonly served: ServedLogs;
  readonly setup: Setup;
  readonly witnesses: readonly RunningWitness[];
}

async function writeDevFile(dir: string, { served, setup, witnesses }: Running): Promise<DevFile> {
  const failure = served.logs[0]?.failure;
  if (failure !== undefined) throw Object.assign(new Error(failure.message), { code: failure.code });
  const policy = join(dir, "policy.txt");
  const text = served.logs[0]?.log?.policyText ?? "";
  parsePolicy(text);
  await writeFileDurably(policy, utf8(text), { mode: 0o644 });
  const { writer, auditor, operator, officer } = setup.tokens;
  const dev: DevFile = {
    log: {
      url: `${served.url}/${LOG_NAME}`,
      origin: ORIGIN,
      vkeys: setup.vkeys,
      tokens: { writer, auditor, operator, officer },
    },
    witnesses: witnesses.map(({ name, url, vkeys }) => ({ name, url, vkeys })),
    policy,
  };
  await writeFileDurably(join(dir, "dev.json"), utf8(`${JSON.stringify(dev, undefined, 2)}\n`), { mode: 0o600 });
  return dev;
}

function announce({ terminal }: Invocation, dev: DevFile, witnesses: readonly RunningWitness[]): void {
  terminal.line(bold("log"), `        ${dev.log.url}  ${dev.log.origin}`);
  for (const { name, url, child } of witnesses)
    terminal.line(bold("witness"), `    ${url}  ${name}, process ${child.pid ?? "?"}`);
  terminal.line(
    bold("trust"),
    `      ${relative(process.cwd(), dev.policy)}: ${QUORUM} of ${witnesses.length} witnesses`,
  );
  terminal.line();
  const folder = dirname(dirname(dev.policy));
  const command = commandLine(process.env, folder);
  terminal.line("send an event, and verify it, from another terminal:");
  if (folder !== process.cwd()) terminal.line(`  cd ${quoteWord(folder)}`);
  terminal.line(`  ${command} submit --type auth.login --outcome success --actor user:u_81`);
  terminal.line(`  ${command} receipt 0 --evidence && ${command} verify 0.evidence.json`);
  terminal.line();
  terminal.line("Witnesses of one's own convince only oneself: others want witnesses that somebody else runs.");
  terminal.line("Ctrl-C stops all of it; what was logged stays.");
  // What is printed ends up in logs of others; the tokens stay in the file, which is its owner's alone.
  const { tokens: _, ...log } = dev.log;
  terminal.value({ ...dev, log });
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
