/** `witness`: sets up and runs a witness, which cosigns only heads that extend what it cosigned before. */
import { quote } from "@tallystick/core";
import {
  type WitnessLogger,
  addList,
  addLog,
  initWitness,
  listEvidence,
  listLogs,
  readWitnessKeys,
  removeList,
  removeLog,
  serveWitness,
} from "@tallystick/witness";
import {
  type Command,
  EXIT,
  type ExitCode,
  type Invocation,
  PROFILE_OPTION,
  UsageError,
  onlyWord,
  profileOf,
} from "../command.ts";
import { type Details, type Level, logLine } from "../log-line.ts";
import { type Terminal, bold } from "../terminal.ts";
import { untilAborted } from "../wait.ts";
import { listenOf } from "./serve.ts";

export const witnessCommand: Command = {
  name: "witness",
  summary: "sets up and runs a witness; serves any C2SP log",
  usage:
    "init | serve | add-log VKEY | remove-log ORIGIN | add-list FILE | remove-list FILE | list | keys | evidence, " +
    "each with --dir DIR",
  options: {
    dir: { type: "string", value: "DIR", help: "the witness's folder: all of its state is in it" },
    name: { type: "string", value: "NAME", help: "init: the name on its cosignatures, such as witness.example.org/w1" },
    listen: { type: "string", value: "HOST:PORT", help: "serve: where to listen (127.0.0.1:7421 by default)" },
    profile: { ...PROFILE_OPTION.profile, help: `serve: ${PROFILE_OPTION.profile.help.replace("serve only", "only")}` },
    origin: { type: "string", value: "ORIGIN", help: "add-log: the log's origin, where it is not the key's name" },
    url: {
      type: "string",
      value: "URL",
      help: "add-log: where the log is read, to notice an older copy of this folder",
    },
  },
  notes: [
    "Example: tallystick witness init --dir w1 --name witness.example.org/w1",
    "         tallystick witness add-log --dir w1 'example.com/audit+0123abcd+…'",
    "         tallystick witness serve --dir w1 --listen 127.0.0.1:7421",
    "While it serves, SIGHUP makes it read the lists of logs again, and take up what is new in them.",
  ],
  run: async (invocation) => {
    const dir = invocation.text("dir");
    if (dir === undefined) throw new UsageError("--dir: expected the witness's folder");
    const [action = "", ...words] = invocation.words;
    const act = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (act === undefined) throw new UsageError(`expected ${Object.keys(ACTIONS).join(", ")}, got ${quote(action)}`);
    return act(invocation, dir, words);
  },
};

type Action = (invocation: Invocation, dir: string, words: readonly string[]) => Promise<ExitCode>;

const ACTIONS: Readonly<Record<string, Action>> = {
  init: async ({ terminal, text }, dir) => {
    const name = text("name");
    if (name === undefined) throw new UsageError("--name: expected the name on the witness's cosignatures");
    const made = await initWitness({ dir, name });
    terminal.line(bold(name), `  set up in ${dir}; its keys, for the policies of those who trust it:`);
    for (const vkey of made.vkeys) terminal.line(`  ${vkey}`);
    terminal.value(made);
    return EXIT.ok;
  },
  serve: async (invocation, dir) => {
    const { terminal } = invocation;
    const logger = loggerOf(terminal);
    const serving = serveWitness({
      dir,
      host: "127.0.0.1",
      port: 7421,
      ...listenOf(invocation),
      ...profileOf(invocation),
      logger,
    });
    const reload = (): void =>
      void serving
        .then((served) => served.reload())
        .catch((error: unknown) => terminal.trouble(`the configuration could not be read again: ${String(error)}`));
    // From the first moment: a SIGHUP that nobody handles would end the process.
    process.on("SIGHUP", reload);
    try {
      const served = await serving;
      terminal.line(bold(served.url), `  witness in ${dir}`);
      terminal.value({ url: served.url });
      await untilAborted(withParent(invocation.signal, served.url));
      await served.close();
    } finally {
      process.off("SIGHUP", reload);
    }
    // An open channel would keep this process alive.
    if (process.connected) process.disconnect();
    return EXIT.ok;
  },
  "add-log": async ({ terminal, text }, dir, words) => {
    const [vkey, ...more] = words;
    if (vkey === undefined || more.length > 0) throw new UsageError("add-log: expected one VKEY");
    const [origin, url] = [text("origin"), text("url")];
    const added = await addLog({
      dir,
      vkey,
      ...(origin === undefined ? {} : { origin }),
      ...(url === undefined ? {} : { url }),
    });
    terminal.line(bold(added.origin), `  cosigned from now on`);
    terminal.line(`compare by telephone with the log's operator: ${added.fingerprint}`);
    terminal.value(added);
    return EXIT.ok;
  },
  "remove-log": async ({ terminal }, dir, words) => {
    const [origin, ...more] = words;
    if (origin === undefined || more.length > 0) throw new UsageError("remove-log: expected one ORIGIN");
    await removeLog({ dir, origin });
    terminal.line(bold(origin), `  not cosigned any more; what was cosigned is remembered`);
    terminal.value({ origin });
    return EXIT.ok;
  },
  "add-list": async ({ terminal }, dir, words) => {
    const added = await addList({ dir, path: onlyWord(words, "add-list: one FILE") });
    terminal.line(bold(added.path), `  read at start and on SIGHUP; logs in it now: ${added.logs.length}`);
    terminal.value(added);
    return EXIT.ok;
  },
  "remove-list": async ({ terminal }, dir, words) => {
    const path = onlyWord(words, "remove-list: one FILE");
    await removeList({ dir, path });
    terminal.line(bold(path), `  not read any more; the logs that came from it stay`);
    terminal.value({ path });
    return EXIT.ok;
  },
  list: async ({ terminal }, dir) => {
    const logs = await listLogs({ dir });
    for (const { origin, fingerprints } of logs)
      for (const fingerprint of fingerprints) terminal.line(bold(origin), `  ${fingerprint}`);
    if (logs.length === 0) terminal.line("no log yet: tallystick witness add-log VKEY --dir DIR");
    terminal.value(logs);
    return EXIT.ok;
  },
  keys: async ({ terminal }, dir) => {
    const keys = await readWitnessKeys({ dir });
    for (const vkey of keys.vkeys) terminal.line(vkey);
    terminal.value(keys);
    return EXIT.ok;
  },
  evidence: async ({ terminal }, dir) => {
    // Of a folder that is no witness's, "no evidence" would be a false comfort.
    await readWitnessKeys({ dir });
    const found = await listEvidence({ dir });
    for (const { path, origin } of found) terminal.line(bold(path), `  ${origin}`);
    if (found.length === 0) terminal.line("no evidence of a fork was kept");
    terminal.value(found);
    return EXIT.ok;
  },
};

function loggerOf(terminal: Terminal): WitnessLogger {
  const write =
    (level: Level) =>
    (message: string, details: Details): void =>
      terminal.record(logLine(level, message, details));
  return { info: write("info"), warn: write("warn"), error: write("error") };
}

/** Started by `dev`: says where it listens, and ends when its parent does. */
function withParent(signal: AbortSignal, url: string): AbortSignal {
  if (!process.connected || process.send === undefined) return signal;
  process.send({ url });
  const gone = new AbortController();
  process.once("disconnect", () => gone.abort());
  return AbortSignal.any([signal, gone.signal]);
}
