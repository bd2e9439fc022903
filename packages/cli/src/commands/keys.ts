/** `keys`: the public keys of a server's or a witness's folder, fingerprints, and a server's tokens. Prints no secret key. */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { formatKeyId, parseVkey, quote } from "@tallystick/core";
import { ROLES, type Role, createToken, layoutOf, listTokens, readServer, revokeToken } from "@tallystick/server";
import { formatFingerprint, readWitnessKeys } from "@tallystick/witness";
import { type Command, EXIT, type ExitCode, type Invocation, UsageError } from "../command.ts";
import { SUBJECT_OPTIONS, optionalSubjectOf } from "../subject-option.ts";
import { bold } from "../terminal.ts";

export const keysCommand: Command = {
  name: "keys",
  summary: "shows public keys and fingerprints; makes, lists and revokes tokens",
  usage:
    "show --dir DIR | fingerprint VKEY | tokens --dir DIR | create-token --dir DIR --name LOG --role ROLE [--subject ID] [--tenant ID] | revoke-token ID --dir DIR",
  options: {
    dir: { type: "string", value: "DIR", help: "the folder of a server, or of a witness" },
    name: { type: "string", value: "LOG", help: "create-token: the log that it is for" },
    role: { type: "string", value: "ROLE", help: `create-token: ${ROLES.join(", ")}` },
    subject: { type: "string", value: "ID", help: "create-token: the person whose contents a reader may have" },
    "subject-file": SUBJECT_OPTIONS["subject-file"],
    tenant: { type: "string", value: "ID", help: "create-token: the tenant whose contents a reader may have" },
  },
  notes: ["A running server takes up new and revoked tokens within seconds; a token is shown once."],
  run: async (invocation) => {
    const [action = "", ...words] = invocation.words;
    const act = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
    if (act === undefined) throw new UsageError(`expected ${Object.keys(ACTIONS).join(", ")}, got ${quote(action)}`);
    return act(invocation, words);
  },
};

const ACTIONS: Readonly<Record<string, (invocation: Invocation, words: readonly string[]) => Promise<ExitCode>>> = {
  show: async (invocation) => {
    const dir = folderOf(invocation);
    const keys = (await isThere(join(dir, "witness.json"))) ? [await witnessKeys(dir)] : (await readServer(dir)).logs;
    for (const { name, vkeys } of keys) for (const vkey of vkeys) showKey(invocation, name, vkey);
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
    for (const { id, role, log, createdAt } of tokens)
      invocation.terminal.line(`${id.padEnd(20)} ${role.padEnd(8)} ${log}  ${createdAt}`);
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
};

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

function folderOf(invocation: Invocation): string {
  const dir = invocation.text("dir");
  if (dir === undefined) throw new UsageError("--dir: expected the folder of a server or of a witness");
  return dir;
}

async function witnessKeys(dir: string): Promise<{ name: string; vkeys: readonly string[] }> {
  return readWitnessKeys({ dir });
}

function describe(vkey: string): { vkey: string; keyId: string; type: number; fingerprint: string } {
  const { keyId, type } = parseVkey(vkey);
  return { vkey, keyId: formatKeyId(keyId), type, fingerprint: formatFingerprint(vkey) };
}

function showKey({ terminal }: Invocation, name: string, vkey: string): void {
  const { keyId, type, fingerprint } = describe(vkey);
  terminal.line(bold(name), `  ${type === 6 ? "ML-DSA-44" : "Ed25519"} ${keyId}`);
  terminal.line(`  ${vkey}`);
  terminal.line(`  fingerprint ${fingerprint}`);
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
