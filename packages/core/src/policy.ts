/** Policies: whom a verifier trusts, as a file of lines. c2sp.org/tlog-policy */
import { encodeBase64 } from "./base64.ts";
import { decodeUtf8, encodeHex, utf8 } from "./bytes.ts";
import { TallystickError, TlogError, quote } from "./error.ts";
import { type Verifier, parseVkey } from "./vkey.ts";

/** The spec asks for 32 logs, witnesses and groups; a post-quantum vkey has 1.8 kB. */
const POLICY_BYTES_MAX = 1_048_576;

export interface PolicyLog {
  readonly verifier: Verifier;
  /** The name of the key: the log's origin. */
  readonly origin: string;
  readonly url?: string;
}

export interface PolicyWitness {
  /** Within the file only; the key has a name of its own. */
  readonly name: string;
  readonly verifier: Verifier;
  /** Its submission prefix. */
  readonly url?: string;
}

export interface PolicyGroup {
  readonly name: string;
  /** 1 to the number of members. */
  readonly threshold: number;
  readonly members: readonly string[];
}

export interface Policy {
  readonly logs: readonly PolicyLog[];
  readonly witnesses: readonly PolicyWitness[];
  /** Each refers to names before it only. */
  readonly groups: readonly PolicyGroup[];
  /** The name of a witness or of a group, or "none". */
  readonly quorum: string;
}

/**
 * Parses a policy. Octets above 0x7f are opaque: names of other octets are other names.
 *
 * A last line without its newline is taken.
 *
 * @throws {TlogError} `policy-malformed`: names the line.
 */
export function parsePolicy(policy: Uint8Array | string): Policy {
  const bytes = typeof policy === "string" ? utf8(policy, "policy-malformed") : policy;
  if (bytes.length > POLICY_BYTES_MAX)
    throw new TlogError("policy-malformed", `policy: expected at most ${POLICY_BYTES_MAX} bytes`);
  const parser = new PolicyParser();
  for (const [at, line] of splitLines(bytes).entries()) parser.take(line, at + 1);
  return parser.finish();
}

function splitLines(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  let start = 0;
  for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
    lines.push(bytes.subarray(start, end));
    start = end + 1;
  }
  lines.push(bytes.subarray(start));
  return lines;
}

class PolicyParser {
  readonly #logs: PolicyLog[] = [];
  readonly #witnesses: PolicyWitness[] = [];
  readonly #groups: PolicyGroup[] = [];
  readonly #names = new Set<string>();
  readonly #members = new Set<string>();
  readonly #logKeys = new Set<string>();
  readonly #witnessKeys = new Set<string>();
  #quorum: string | undefined;
  #line = 0;

  take(line: Uint8Array, number: number): void {
    this.#line = number;
    const control = line.find((octet) => (octet < 0x20 && octet !== 0x09) || octet === 0x7f);
    if (control !== undefined) this.#fail(`control character 0x${control.toString(16).padStart(2, "0")}`);
    // Asked of the octets: a word that is not UTF-8 does not begin with "#" as a token.
    if (isEmptyOrComment(line)) return;
    const [keyword = "", ...rest] = tokensOf(line);
    switch (keyword) {
      case "log":
        return this.#takeLog(rest);
      case "witness":
        return this.#takeWitness(rest);
      case "group":
        return this.#takeGroup(rest);
      case "quorum":
        return this.#takeQuorum(rest);
      default:
        this.#fail(`expected log, witness, group or quorum, got ${quote(keyword)}`);
    }
  }

  finish(): Policy {
    if (this.#quorum === undefined) throw new TlogError("policy-malformed", "policy: expected a quorum line, got none");
    return { logs: this.#logs, witnesses: this.#witnesses, groups: this.#groups, quorum: this.#quorum };
  }

  #takeLog([vkey, url, ...more]: readonly string[]): void {
    if (vkey === undefined || more.length > 0) this.#fail("expected log <vkey> [<url>]");
    const verifier = this.#parseKey(vkey);
    if (verifier.type === 4) this.#fail("a log's key has signature type 1 or 6, this one has 4");
    this.#addKey(this.#logKeys, verifier, "log");
    this.#logs.push({ verifier, origin: verifier.name, ...(url === undefined ? {} : { url }) });
  }

  #takeWitness([name, vkey, url, ...more]: readonly string[]): void {
    if (name === undefined || vkey === undefined || more.length > 0)
      this.#fail("expected witness <name> <vkey> [<url>]");
    const verifier = this.#parseKey(vkey);
    if (verifier.type === 1) this.#fail("a witness's key has signature type 4 or 6, this one has 1");
    this.#addKey(this.#witnessKeys, verifier, "witness");
    this.#define(name);
    this.#witnesses.push({ name, verifier, ...(url === undefined ? {} : { url }) });
  }

  #takeGroup([name, threshold, ...members]: readonly string[]): void {
    if (name === undefined || threshold === undefined || members.length === 0) {
      this.#fail("expected group <name> all|any|<k> <name>…");
    }
    for (const member of members) {
      if (!this.#names.has(member)) this.#fail(`member ${quote(member)} is not defined on a line before`);
      if (this.#members.has(member)) this.#fail(`${quote(member)} is a member already: each name is one at most once`);
      this.#members.add(member);
    }
    this.#define(name);
    this.#groups.push({ name, threshold: this.#parseThreshold(threshold, members.length), members });
  }

  #takeQuorum([name, ...more]: readonly string[]): void {
    if (name === undefined || more.length > 0) this.#fail("expected quorum <name>");
    if (this.#quorum !== undefined) this.#fail("a second quorum line");
    if (name !== "none" && !this.#names.has(name)) this.#fail(`quorum ${quote(name)} is not defined on a line before`);
    this.#quorum = name;
  }

  #parseThreshold(text: string, count: number): number {
    if (text === "any") return 1;
    if (text === "all") return count;
    const threshold = Number(text);
    if (/^[1-9]\d{0,8}$/.test(text) && threshold <= count) return threshold;
    return this.#fail(`expected all, any or 1 to ${count}, got ${quote(text)}`);
  }

  #parseKey(text: string): Verifier {
    try {
      return parseVkey(text);
    } catch (cause) {
      if (!(cause instanceof TallystickError)) throw cause;
      const hint = /^[0-9a-fA-F]{64}$/.test(text) ? "a bare key, not a vkey (name+ID+key)" : cause.message;
      throw new TlogError("policy-malformed", `policy line ${this.#line}: ${hint}`, {
        cause,
        details: { line: this.#line },
      });
    }
  }

  /** Keys are told apart by themselves, not by the name and the type that a vkey adds. */
  #addKey(keys: Set<string>, { publicKey }: Verifier, what: string): void {
    const key = encodeBase64(publicKey);
    if (keys.has(key)) this.#fail(`a second ${what} with this key`);
    keys.add(key);
  }

  #define(name: string): void {
    if (name === "none") this.#fail('the name "none" is taken: it stands for no quorum');
    if (this.#names.has(name)) this.#fail(`${quote(name)} is defined already`);
    this.#names.add(name);
  }

  #fail(text: string): never {
    throw new TlogError("policy-malformed", `policy line ${this.#line}: ${text}`, { details: { line: this.#line } });
  }
}

function isEmptyOrComment(line: Uint8Array): boolean {
  const first = line.find((octet) => octet !== 0x20 && octet !== 0x09);
  return first === undefined || first === 0x23;
}

/** Splits at spaces and tabs only. */
function tokensOf(line: Uint8Array): string[] {
  const tokens: string[] = [];
  let start = -1;
  for (let at = 0; at <= line.length; at += 1) {
    const octet = line[at];
    const blank = octet === undefined || octet === 0x20 || octet === 0x09;
    if (blank && start !== -1) {
      tokens.push(opaqueText(line.subarray(start, at)));
      start = -1;
    } else if (!blank && start === -1) start = at;
  }
  return tokens;
}

/** Octets as text, other octets as other text: what is not UTF-8 becomes hex after a NUL, which no token can hold. */
function opaqueText(octets: Uint8Array): string {
  try {
    return decodeUtf8(octets);
  } catch {
    return `\0${encodeHex(octets)}`;
  }
}

/** What {@link formatPolicy} writes. */
export interface PolicyInput {
  readonly logs: readonly { readonly vkey: string; readonly url?: string }[];
  readonly witnesses: readonly { readonly name: string; readonly vkeys: readonly string[]; readonly url?: string }[];
  /** How many of the witnesses, or "none". */
  readonly quorum: number | "none";
}

/**
 * Writes a policy: k of n witnesses, each of one key or more. A witness with several keys becomes a group of which any
 * key is enough, so that it counts once.
 *
 * @throws {TlogError} `policy-malformed`: what it would write does not parse; `vkey-malformed` or `vkey-unsupported`.
 * @throws {TypeError} A name, a vkey or a URL is empty or holds a space, a tab or a newline.
 */
export function formatPolicy({ logs, witnesses, quorum }: PolicyInput): string {
  const lines = logs.map(({ vkey, url }) => words("log", vkey, url));
  for (const { name, vkeys, url } of witnesses) {
    const [only, ...more] = vkeys;
    if (only !== undefined && more.length === 0) lines.push(words("witness", name, only, url));
    else {
      const keys = vkeys.map((vkey) => ({
        vkey,
        name: `${name}/${parseVkey(vkey).type === 6 ? "mldsa44" : "ed25519"}`,
      }));
      for (const key of keys) lines.push(words("witness", key.name, key.vkey, url));
      lines.push(words("group", name, "any", ...keys.map((key) => key.name)));
    }
  }
  if (quorum === "none") lines.push("quorum none");
  // Not named by a keyword, such as "quorum": the spec allows it, Tessera does not.
  else
    lines.push(words("group", "witnesses", String(quorum), ...witnesses.map(({ name }) => name)), "quorum witnesses");
  const text = lines.map((line) => `${line}\n`).join("");
  parsePolicy(text);
  return text;
}

function words(...parts: readonly (string | undefined)[]): string {
  const present = parts.filter((part) => part !== undefined);
  for (const part of present) {
    if (!/^[^ \t\n]+$/.test(part)) throw new TypeError(`policy: expected one word, got ${quote(part)}`);
  }
  return present.join(" ");
}
