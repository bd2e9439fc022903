/**
 * `keys`: the public keys of a server's or a witness's folder, fingerprints, a server's tokens, the rotation of a log's keys
 * and the backups of key stores. Prints no secret key.
 */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { formatKeyId, parseVkey, quote } from "@tallystick/core";
import { ROLES, type Role, createToken, layoutOf, listTokens, readServer, revokeToken } from "@tallystick/server";
import { formatFingerprint, readWitnessKeys } from "@tallystick/witness";
import { type Command, EXIT, type ExitCode, type Invocation, UsageError, noWords } from "../command.ts";
import { folderOf } from "../server-folder.ts";
import { SUBJECT_OPTIONS, optionalSubjectOf } from "../subject-option.ts";
import { bold } from "../terminal.ts";
import { backUpAction, listBackupsAction, restoreAction, rewrapAction } from "./keys-backup.ts";
import { rotateLogAction, rotateTokenAction } from "./keys-rotate.ts";

const USAGES = [
  "show --dir DIR",
  "fingerprint VKEY",
  "tokens --dir DIR",
  "create-token --dir DIR --name LOG --role ROLE [--subject ID] [--tenant ID]",
  "rotate-token ID --dir DIR [--overlap 24h]",
  "revoke-token ID --dir DIR",
  "rotate-log --dir DIR [--name LOG] [--retire KEYID]",
  "backups --dir DIR [--name LOG]",
  "back-up --dir DIR [--name LOG]",
  "restore --dir DIR [--name LOG] [--from BACKUP]",
  "rewrap --dir DIR --before FILE [--make]",
];

export const keysCommand: Command = {
  name: "keys",
  summary:
    "shows public keys; makes, replaces and revokes tokens; replaces a log's keys; backs up and restores key stores",
  usage: USAGES.join(" | "),
  usages: USAGES,
  options: {
    dir: { type: "string", value: "DIR", help: "the folder of a server, or of a witness" },
    name: {
      type: "string",
      value: "LOG",
      help: "the log; need not be said where there is one only, but for create-token",
    },
    role: { type: "string", value: "ROLE", help: `create-token: ${ROLES.join(", ")}` },
    subject: { type: "string", value: "ID", help: "create-token: the person whose contents a reader may have" },
    "subject-file": SUBJECT_OPTIONS["subject-file"],
    tenant: { type: "string", value: "ID", help: "create-token: the tenant whose contents a reader may have" },
    overlap: {
      type: "string",
      value: "TIME",
      help: "rotate-token: how long the old one goes on, such as 90m, 24h, 7d or 0",
    },
    retire: { type: "string", value: "KEYID", help: "rotate-log: the old key, which is to go; 8 hex digits" },
    from: { type: "string", value: "BACKUP", help: "restore: the backup; the newest that can be read, by default" },
    before: { type: "string", value: "FILE", help: "rewrap: server.json as it was, with the master key of before" },
    make: { type: "boolean", help: "rewrap: make the new master key where server.json says; never replaces one" },
  },
  notes: [
    "A running server takes up new and revoked tokens within seconds; a token is shown once.",
    "docs/guides/rotate-keys.md goes through tokens, a log's keys and backups step by step.",
  ],
  run: async (invocation) => {
    const [action = "", ...words] = invocation.words;
    const act = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (act === undefined) throw new UsageError(`expected ${Object.keys(ACTIONS).join(", ")}, got ${quote(action)}`);
    return act(invocation, words);
  },
};

type Action = (invocation: Invocation, words: readonly string[]) => Promise<ExitCode>;

const ACTIONS: Readonly<Record<string, Action>> = {
  show: async (invocation) => {
    const dir = folderOf(invocation);
    const keys = (await isThere(join(dir, "witness.json"))) ? [await witnessKeys(dir)] : (await readServer(dir)).logs;
    for (const { name, vkeys } of keys)
      for (const vkey of vkeys) showKey(invocation, { name, vkey, age: ageOf(vkey, vkeys) });
    invocation.terminal.value(keys.map(({ name, vkeys }) => ({ name, keys: vkeys.map(describe) })));
    return EXIT.ok;
  },
  fingerprint: async (invocation, words) => {
    const [vkey, ...more] = words;
    if (vkey === undefined || more.length > 0) throw new UsageError("fingerprint: expected one VKEY");
    const described = describe(vkey);
    invocation.terminal.line(described.fingerprint);
    invocation.terminal.value(described);
    return EXIT.ok;
  },
  tokens: async (invocation) => {
    const tokens = await listTokens(layoutOf(folderOf(invocation)).tokens);
    for (const { id, role, log, createdAt, expiresAt, scope = [] } of tokens) {
      const of = scope.length === 0 ? "" : `  of one ${scope.join(" and ")}`;
      const end = expiresAt === undefined ? "" : `  until ${expiresAt}`;
      invocation.terminal.line(`${id.padEnd(20)} ${role.padEnd(8)} ${log}  ${createdAt}${of}${end}`);
    }
    invocation.terminal.value(tokens);
    return EXIT.ok;
  },
  "create-token": async (invocation) => {
    const [log, role] = [invocation.text("name"), ROLES.find((known) => known === invocation.text("role"))];
    if (log === undefined || role === undefined)
      throw new UsageError(`create-token: expected --name LOG and --role ${ROLES.join("|")}`);
    const { config } = await readServer(folderOf(invocation));
    if (!config.logs.some(({ name }) => name === log))
      throw new UsageError(`--name: this server has no log ${JSON.stringify(log)}`);
    const scope = await scopeOf(invocation, role);
    const made = await createToken(layoutOf(folderOf(invocation)).tokens, { log, role, ...scope });
    invocation.terminal.line(made.token);
    invocation.terminal.aside(`${made.id} is its id, by which the log, rotate-token and revoke-token name it`);
    invocation.terminal.value(made);
    return EXIT.ok;
  },
  "revoke-token": async (invocation, words) => {
    const [id, ...more] = words;
    if (id === undefined || more.length > 0) throw new UsageError("revoke-token: expected one ID");
    await revokeToken(layoutOf(folderOf(invocation)).tokens, id);
    invocation.terminal.line(`${id} is taken back; a running server refuses it within seconds`);
    invocation.terminal.value({ id });
    return EXIT.ok;
  },
  "rotate-token": rotateTokenAction,
  "rotate-log": noMoreWords(rotateLogAction),
  backups: noMoreWords(listBackupsAction),
  "back-up": noMoreWords(backUpAction),
  restore: noMoreWords(restoreAction),
  rewrap: noMoreWords(rewrapAction),
};

function noMoreWords(act: (invocation: Invocation) => Promise<ExitCode>): Action {
  return async (invocation, words) => {
    noWords(words);
    return act(invocation);
  };
}

/** @throws {UsageError} A reader without one, or another role with one. */
async function scopeOf(
  invocation: Invocation,
  role: Role,
): Promise<{ readonly subject?: string; readonly tenant?: string }> {
  const [subject, tenant] = [await optionalSubjectOf(invocation), invocation.text("tenant")];
  const isScoped = subject !== undefined || tenant !== undefined;
  if (isScoped !== (role === "reader"))
    throw new UsageError("create-token: expected --subject or --tenant for a reader, and for no other role");
  return { ...(subject === undefined ? {} : { subject }), ...(tenant === undefined ? {} : { tenant }) };
}

async function witnessKeys(dir: string): Promise<{ name: string; vkeys: readonly string[] }> {
  return readWitnessKeys({ dir });
}

function describe(vkey: string): { vkey: string; keyId: string; type: number; fingerprint: string } {
  const { keyId, type } = parseVkey(vkey);
  return { vkey, keyId: formatKeyId(keyId), type, fingerprint: formatFingerprint(vkey) };
}

/** While one key replaces another both are there, the old one of a type first: which one is to be retired has to be seen. */
function ageOf(vkey: string, vkeys: readonly string[]): string {
  const { type } = parseVkey(vkey);
  const [first, second] = vkeys.filter((other) => parseVkey(other).type === type);
  if (second === undefined) return "";
  return vkey === first ? "  the old one" : "  the new one";
}

function showKey(
  { terminal }: Invocation,
  { name, vkey, age }: { readonly name: string; readonly vkey: string; readonly age: string },
): void {
  const { keyId, type, fingerprint } = describe(vkey);
  terminal.line(bold(name), `  ${type === 6 ? "ML-DSA-44" : "Ed25519"} ${keyId}${age}`);
  terminal.line(`  ${vkey}`);
  terminal.line(`  fingerprint ${fingerprint}`);
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
