/**
 * What the messages of an OpenSSH server mean. docs/reference/import-openssh.md has it for people.
 *
 * A client chooses the name that it tries, so a pattern reads names greedily and takes address and port from the end:
 * a name such as `x from 10.0.0.1 port 1 ssh2` cannot pass for an address.
 */
import type { Outcome } from "../event.ts";

/** Who a message is about, by what the server knows of the name when it writes it. */
export type Standing =
  /** Logged in: the name is proved. */
  | "proved"
  /** An account of that name exists, but nobody has proved to be its owner. */
  | "account"
  /** A name that was tried. */
  | "tried";

export interface Meaning {
  readonly type: string;
  readonly outcome: Outcome;
  readonly user?: { readonly name: string; readonly standing: Standing };
  readonly method?: string;
  /** The other end: mostly an address, sometimes a host name. */
  readonly peer?: string;
  readonly reason?: string;
  readonly context: Readonly<Record<string, string | number>>;
}

type Groups = Readonly<Record<string, string | undefined>>;

interface Rule {
  readonly pattern: RegExp;
  readonly type: string;
  readonly outcome: Outcome;
  /** Default `tried`, or `account` where the message tells names without account by `invalid`, and this is none. */
  readonly standing?: Standing;
  /** Default: what the group `reason` matched. */
  readonly reason?: string;
}

const FROM = String.raw`from (?<peer>\S+) port (?<port>\d+)(?: (?<protocol>ssh\d?))?`;
const KEY = String.raw`(?:: (?<key>\S+ \S+))?`;
/** The other end of a connection; older servers leave out the port. */
const PEER = String.raw`(?<peer>\S+?)(?: port (?<port>\d+))?`;
/** Newer servers say before it whose connection it was, and whether there is such an account. */
const OWNER = String.raw`(?<known>authenticating|invalid) user (?<user>.*) (?<peer>\S+) port (?<port>\d+)`;
/** A disconnect's code and what the other end gave for a reason. */
const WHY = String.raw`(?<code>\d+): ?(?<reason>.*)`;
const PAM = String.raw`logname=.*? uid=\d* euid=\d* tty=\S* ruser=.*? rhost=(?<peer>\S*)(?:\s+user=(?<account>.*))?`;

const RULES: readonly Rule[] = [
  rule(String.raw`Accepted (?<method>\S+) for (?<user>\S+) ${FROM}(?:: (?<key>.*))?`, "auth.login", "success", {
    standing: "proved",
  }),
  rule(
    String.raw`Failed (?<method>\S+) for (?<known>invalid) user (?<user>.*) ${FROM}${KEY}`,
    "auth.login",
    "failure",
    {
      reason: "invalid user",
    },
  ),
  rule(String.raw`Failed (?<method>\S+) for (?<account>.*) ${FROM}${KEY}`, "auth.login", "failure"),
  rule(
    String.raw`Postponed (?<method>\S+) for (?:(?<known>invalid) user )?(?<user>.*) ${FROM}`,
    "ssh.userauth.step",
    "unknown",
  ),
  rule(
    String.raw`[Ii]nvalid user (?<user>.*) from (?<peer>\S+?)(?: port (?<port>\d+))?`,
    "ssh.user.invalid",
    "failure",
    {
      reason: "invalid user",
    },
  ),
  rule(String.raw`input_userauth_request: invalid user (?<user>.*)`, "ssh.userauth.request", "failure", {
    reason: "invalid user",
  }),
  rule(
    String.raw`User (?<account>.*) from (?<peer>\S+) not allowed because (?<reason>.*)`,
    "ssh.user.denied",
    "denied",
  ),
  rule(
    String.raw`(?:error: )?(?<reason>maximum authentication attempts exceeded) for (?<known>invalid) user (?<user>.*) ${FROM}`,
    "ssh.user.denied",
    "denied",
  ),
  rule(
    String.raw`(?:error: )?(?<reason>maximum authentication attempts exceeded) for (?<account>.*) ${FROM}`,
    "ssh.user.denied",
    "denied",
  ),

  rule(String.raw`pam_\w+\(sshd:auth\): check pass; user unknown`, "ssh.pam.check", "failure", {
    reason: "user unknown",
  }),
  rule(String.raw`pam_\w+\(sshd:auth\): authentication failure; ${PAM}`, "ssh.pam.failure", "failure", {
    reason: "authentication failure",
  }),
  rule(String.raw`PAM (?<count>\d+) more authentication failures?; ${PAM}`, "ssh.pam.failure", "failure", {
    reason: "more authentication failures",
  }),
  rule(
    String.raw`PAM service\(sshd\) (?<reason>ignoring max retries); (?<count>\d+) > (?<limit>\d+)`,
    "ssh.pam.retries",
    "failure",
  ),
  rule(
    String.raw`error: PAM: (?<reason>.*?) for (?:illegal|(?<known>invalid)) user (?<user>.*) from (?<peer>\S+)`,
    "ssh.pam.failure",
    "failure",
  ),
  rule(String.raw`error: PAM: (?<reason>.*?) for (?<account>.*) from (?<peer>\S+)`, "ssh.pam.failure", "failure"),
  rule(
    String.raw`pam_\w+\(sshd:session\): session opened for user (?<user>\S+?)(?:\(uid=\d+\))? by .*`,
    "ssh.session.open",
    "success",
    {
      standing: "proved",
    },
  ),
  rule(String.raw`pam_\w+\(sshd:session\): session closed for user (?<user>\S+)`, "auth.logout", "success", {
    standing: "proved",
  }),
  rule(String.raw`subsystem request for (?<subsystem>\S+)(?: by user (?<user>\S+))?.*`, "ssh.subsystem", "success", {
    standing: "proved",
  }),

  rule(String.raw`Connection from (?<peer>\S+) port (?<port>\d+)(?: on .*)?`, "ssh.connection.open", "success"),
  rule(String.raw`Connection (?<reason>closed|reset) by ${OWNER}`, "ssh.disconnect", "success"),
  rule(String.raw`Connection (?<reason>closed|reset) by ${PEER}`, "ssh.disconnect", "success"),
  rule(
    String.raw`(?:error: )?Received disconnect from (?<peer>\S+) port (?<port>\d+): ?${WHY}`,
    "ssh.disconnect",
    "success",
  ),
  rule(String.raw`(?:error: )?Received disconnect from (?<peer>\S+): ${WHY}`, "ssh.disconnect", "success"),
  rule(String.raw`Disconnected from user (?<user>\S+) (?<peer>\S+) port (?<port>\d+)`, "ssh.disconnect", "success", {
    standing: "proved",
  }),
  rule(String.raw`Disconnected from ${OWNER}`, "ssh.disconnect", "success"),
  rule(String.raw`Disconnected from ${PEER}`, "ssh.disconnect", "success"),
  rule(
    String.raw`Disconnecting: (?<reason>Too many authentication failures) for (?<user>.*)`,
    "ssh.disconnect",
    "denied",
  ),
  rule(String.raw`Disconnecting: (?<reason>.*)`, "ssh.disconnect", "denied"),
  rule(String.raw`Disconnecting ${OWNER}: (?<reason>.*)`, "ssh.disconnect", "denied"),
  rule(String.raw`Disconnecting ${PEER}: (?<reason>.*)`, "ssh.disconnect", "denied"),

  rule(
    String.raw`(?<reason>Did not receive identification string) from (?<peer>\S+?)(?: port (?<port>\d+))?`,
    "ssh.connection.unidentified",
    "failure",
  ),
  rule(
    String.raw`(?<reason>Bad protocol version identification) .* from (?<peer>\S+) port (?<port>\d+)`,
    "ssh.connection.unidentified",
    "failure",
  ),
  rule(
    String.raw`banner exchange: Connection from (?<peer>\S+) port (?<port>\d+): (?<reason>.*)`,
    "ssh.connection.unidentified",
    "failure",
  ),
  rule(String.raw`(?:error: )?kex_exchange_identification: (?<reason>.*)`, "ssh.connection.unidentified", "failure"),
  rule(
    String.raw`(?:fatal: )?Unable to negotiate with (?<peer>\S+) port (?<port>\d+): (?<reason>.*)`,
    "ssh.connection.failed",
    "failure",
  ),
  rule(
    String.raw`(?:fatal: )?(?<reason>Timeout before authentication) for (?:connection from )?(?<peer>\S+?)(?: port (?<port>\d+)| to .*)?`,
    "ssh.connection.failed",
    "failure",
  ),
  rule(
    String.raw`(?:fatal|error): (?:ssh_dispatch_run_fatal: )?Connection from (?:(?<known>authenticating|invalid) user (?<user>.*) )?(?<peer>\S+) port (?<port>\d+): (?<reason>.*)`,
    "ssh.connection.failed",
    "failure",
  ),
  rule(String.raw`fatal: (?<reason>(?:Read|Write)(?: from socket)? failed: .*)`, "ssh.connection.failed", "failure"),
  rule(
    String.raw`reverse mapping checking getaddrinfo for (?<hostname>\S+) \[(?<peer>[^\]\s]+)\] failed(?: - .*)?`,
    "ssh.reverse_mapping",
    "failure",
    {
      reason: "the host name of the address does not lead back to it: possible break-in attempt",
    },
  ),
  rule(
    String.raw`Address (?<peer>\S+) maps to (?<hostname>\S+), but this does not map back to the address.*`,
    "ssh.reverse_mapping",
    "failure",
    {
      reason: "the host name of the address does not lead back to it: possible break-in attempt",
    },
  ),

  rule(String.raw`Server listening on (?<address>\S+) port (?<port>\d+)\.?`, "ssh.server.start", "success"),
  rule(String.raw`Received signal (?<signal>\d+); terminating\.?`, "ssh.server.stop", "success"),
];

/** The types that the rules give, each once. */
export const OPENSSH_TYPES: readonly string[] = [...new Set(RULES.map(({ type }) => type))];

function rule(source: string, type: string, outcome: Outcome, more: Pick<Rule, "standing" | "reason"> = {}): Rule {
  return { pattern: new RegExp(`^${source}$`, "s"), type, outcome, ...more };
}

const PREAUTH = " [preauth]";
const REPEATED = /^message repeated (?<times>\d+) times: \[ ?(?<message>.*)\]$/s;

/** What a message of sshd means; `undefined` where no rule knows it. */
export function readOpenSshMessage(text: string): Meaning | undefined {
  const repeated = REPEATED.exec(text)?.groups;
  if (repeated !== undefined) {
    const meaning = readOnce((repeated["message"] ?? "").trimEnd());
    return meaning && { ...meaning, context: { ...meaning.context, repeated: Number(repeated["times"]) } };
  }
  return readOnce(text.trimEnd());
}

function readOnce(text: string): Meaning | undefined {
  const preauth = text.endsWith(PREAUTH);
  const message = preauth ? text.slice(0, -PREAUTH.length).trimEnd() : text;
  for (const rule of RULES) {
    const groups = rule.pattern.exec(message)?.groups;
    if (groups !== undefined || rule.pattern.test(message)) return meaningOf(rule, groups ?? {}, preauth);
  }
  return undefined;
}

function meaningOf(rule: Rule, groups: Groups, preauth: boolean): Meaning {
  const reason = rule.reason ?? groups["reason"];
  const { method, peer } = groups;
  const user = userOf(rule, groups);
  return {
    type: rule.type,
    outcome: outcomeOf(rule, groups),
    ...(user && { user }),
    ...(method && { method: method.toLowerCase() }),
    ...(peer && { peer }),
    ...(reason && { reason }),
    context: contextOf(groups, preauth),
  };
}

function userOf({ standing }: Rule, { user, account, known }: Groups): Meaning["user"] {
  if (account) return { name: account, standing: "account" };
  if (!user) return undefined;
  return { name: user, standing: standing ?? (known === "authenticating" ? "account" : "tried") };
}

/** Codes of a disconnect (RFC 4253 §11.1): by application is what clients send when they are done. */
const DISCONNECT_BY_APPLICATION = "11";

function outcomeOf({ outcome }: Rule, { code }: Groups): Outcome {
  return code === undefined || code === DISCONNECT_BY_APPLICATION ? outcome : "failure";
}

const NUMBERS = ["port", "count", "limit", "code", "signal"];
const TEXTS = ["protocol", "key", "hostname", "subsystem", "address"];

function contextOf(groups: Groups, preauth: boolean): Record<string, string | number> {
  const context: Record<string, string | number> = {};
  for (const name of NUMBERS) if (groups[name] !== undefined) context[name] = Number(groups[name]);
  for (const name of TEXTS) if (groups[name] !== undefined) context[name] = groups[name];
  if (preauth) context["phase"] = "preauth";
  return context;
}
