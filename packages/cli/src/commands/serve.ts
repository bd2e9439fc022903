/** `serve`: sets up a server, and runs it. */
import { initServer, serveLogs } from "@tallystick/server";
import {
  type Command,
  EXIT,
  type ExitCode,
  type Invocation,
  PROFILE_OPTION,
  UsageError,
  noWords,
  profileOf,
  wholeNumber,
} from "../command.ts";
import { logLine } from "../log-line.ts";
import { bold } from "../terminal.ts";
import { tuneV8 } from "../v8.ts";
import { untilAborted } from "../wait.ts";

export const serveCommand: Command = {
  name: "serve",
  summary: "sets up a log server in a folder, or runs the one that is there",
  usage: "--dir DIR [--init --name NAME --origin ORIGIN [--witness NAME=VKEY[,VKEY]@URL]… [--quorum K]]",
  options: {
    dir: { type: "string", value: "DIR", help: "the server's folder" },
    init: { type: "boolean", help: "set it up, print keys and tokens, and stop" },
    name: { type: "string", value: "NAME", help: "with --init: the log's name in its address" },
    origin: { type: "string", value: "ORIGIN", help: "with --init: the log's identity, such as example.com/audit" },
    witness: { type: "string", multiple: true, value: "NAME=VKEY[,VKEY]@URL", help: "with --init: a witness to ask" },
    quorum: {
      type: "string",
      value: "K",
      help: "with --init: how many witnesses a head needs (two thirds by default)",
    },
    "pin-first-sender-key": {
      type: "boolean",
      help: "with --init: a writer's first sender key is its key from then on",
    },
    listen: { type: "string", value: "HOST:PORT", help: "where to listen, in place of the configured address" },
    ...PROFILE_OPTION,
    "start-without-witnesses": { type: "boolean", help: "for this start: do not wait for witnesses; it is logged" },
    "confirm-clock": {
      type: "boolean",
      help: "for this start: the clock is right, although the log was silent for long",
    },
  },
  notes: ["docs/guides/run-a-log.md goes through it step by step."],
  run: async (invocation) => {
    noWords(invocation.words);
    const dir = invocation.text("dir");
    if (dir === undefined) throw new UsageError("--dir: expected the server's folder");
    const profile = profileOf(invocation);
    if (invocation.flag("init") && profile.profile !== undefined)
      throw new UsageError("--profile: expected without --init; it is for serving");
    if (invocation.flag("init")) return init(invocation, dir);
    const unused = INIT_ONLY.find((name) => invocation.texts(name).length > 0 || invocation.flag(name));
    if (unused !== undefined)
      throw new UsageError(`--${unused}: expected --init with it; a server that is there has its own`);
    return serve(invocation, dir);
  },
};

const INIT_ONLY = ["name", "origin", "witness", "quorum", "pin-first-sender-key"];

async function init(invocation: Invocation, dir: string): Promise<ExitCode> {
  const { terminal } = invocation;
  const [name, origin, quorum] = [invocation.text("name"), invocation.text("origin"), invocation.text("quorum")];
  if (name === undefined || origin === undefined) throw new UsageError("--init: expected --name and --origin too");
  const made = await initServer({
    dir,
    name,
    origin,
    witnesses: invocation.texts("witness").map(parseWitness),
    pinFirstSenderKey: invocation.flag("pin-first-sender-key"),
    ...listenOf(invocation),
    ...(quorum === undefined ? {} : { quorum: wholeNumber(quorum, "--quorum") }),
  });
  terminal.line(bold(made.configPath), `  the configuration; the policy is in ${made.policyPath}`);
  terminal.line("keys of the log, for its witnesses and readers:");
  for (const vkey of made.vkeys) terminal.line(`  ${vkey}`);
  terminal.line("tokens, shown this once; only their digests are kept:");
  for (const [role, token] of Object.entries(made.tokens)) terminal.line(`  ${role.padEnd(8)} ${token}`);
  if (invocation.texts("witness").length === 0) {
    const means = "nobody but its operator vouches for this log, and every verdict on it is LOG-ONLY";
    terminal.line(`warning  no witness: ${means}; --witness NAME=VKEY@URL, with --init, names one`);
  }
  terminal.line(`next: have the witnesses add the log's keys, then: tallystick serve --dir ${dir}`);
  terminal.value(made);
  return EXIT.ok;
}

/** `w1=VKEY,VKEY@https://witness.example`. @throws {UsageError} */
function parseWitness(text: string): { name: string; vkeys: string[]; url: string } {
  const at = text.lastIndexOf("@http");
  const equals = text.indexOf("=");
  if (equals < 1 || at < equals)
    throw new UsageError(`--witness: expected NAME=VKEY[,VKEY]@URL, got ${JSON.stringify(text)}`);
  return {
    name: text.slice(0, equals),
    vkeys: text.slice(equals + 1, at).split(","),
    url: text.slice(at + 1).replace(/\/+$/, ""),
  };
}

/** @throws {UsageError} */
export function listenOf(invocation: Invocation): { host?: string; port?: number } {
  const text = invocation.text("listen");
  if (text === undefined) return {};
  const colon = text.lastIndexOf(":");
  const port = wholeNumber(text.slice(colon + 1), "--listen, port");
  if (colon < 1 || port > 65_535) throw new UsageError(`--listen: expected HOST:PORT, got ${JSON.stringify(text)}`);
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ""), port };
}

async function serve(invocation: Invocation, dir: string): Promise<ExitCode> {
  const { terminal } = invocation;
  tuneV8();
  const served = await serveLogs({
    dir,
    ...listenOf(invocation),
    ...profileOf(invocation),
    startWithoutWitnesses: invocation.flag("start-without-witnesses"),
    confirmClock: invocation.flag("confirm-clock"),
    logger: {
      info: (message, details) => terminal.record(logLine("info", message, details)),
      warn: (message, details) => terminal.record(logLine("warn", message, details)),
    },
  });
  for (const { name, log, failure } of served.logs) {
    const told = log === undefined ? `not open: ${failure?.message}` : `${log.origin}  ${log.vkeys[0]}`;
    terminal.line(bold(`${served.url}/${name}`), `  ${told}`);
  }
  const logs = served.logs.map(({ name, log, failure }) =>
    log === undefined ? { name, failure } : { name, origin: log.origin, vkeys: log.vkeys },
  );
  terminal.value({ url: served.url, logs });
  const isAnyOpen = served.logs.some(({ log }) => log !== undefined);
  if (isAnyOpen) await untilAborted(invocation.signal);
  else terminal.trouble("no log could be opened: there is nothing to serve");
  await served.close();
  return isAnyOpen ? EXIT.ok : EXIT.unknown;
}
