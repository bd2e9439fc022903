/** Which log a command speaks to, with which token, and whom it trusts: options, else environment, else dev.json. */
import type { Fetch } from "@tallystick/client";
import { type Policy, parsePolicy, quote } from "@tallystick/core";
import { naming, readNamed } from "./bounded-file.ts";
import { type Invocation, type OptionSpec, UsageError } from "./command.ts";
import { startLine } from "./command-line.ts";
import { DEV_FOLDER, type DevFile, readDevFile } from "./dev-file.ts";
import { TLS_OPTIONS, fetchOf } from "./tls-options.ts";

export const LOG_OPTIONS: Readonly<Record<"log" | "token" | keyof typeof TLS_OPTIONS, OptionSpec>> = {
  log: { type: "string", value: "URL", help: "the log's address (else TALLYSTICK_URL, else .tallystick/dev.json)" },
  token: { type: "string", value: "TOKEN", help: "a token for it (else TALLYSTICK_TOKEN, else .tallystick/dev.json)" },
  ...TLS_OPTIONS,
};

export const POLICY_OPTION: Readonly<Record<"policy", OptionSpec>> = {
  policy: { type: "string", value: "FILE", help: "whom to trust (else TALLYSTICK_POLICY, else .tallystick/dev.json)" },
};

/** Some hundred keys, post-quantum ones too. */
const POLICY_BYTES_MAX = 1024 * 1024;

export type TokenRole = keyof DevFile["log"]["tokens"];

export interface Target {
  readonly url: string;
  readonly token: string | undefined;
  readonly fetch: Fetch;
}

export interface ChosenTarget extends Target {
  /** Whether log, token and policy are those of dev.json: then the other commands need no options either. */
  readonly isDev: boolean;
}

const NO_DEV_FILE = `there is no ${DEV_FOLDER}/dev.json in this folder`;

/** @throws {UsageError} No log is named anywhere. */
export async function targetOf(invocation: Invocation, role: TokenRole): Promise<ChosenTarget> {
  const dev = await readDevFile();
  const url = invocation.text("log") ?? process.env["TALLYSTICK_URL"] ?? dev?.log.url;
  if (url === undefined)
    throw new UsageError(`--log: expected the log's address; ${NO_DEV_FILE}, and ${startLine()} starts a log`);
  const address = addressOf(url);
  const given = invocation.text("token") ?? process.env["TALLYSTICK_TOKEN"];
  const isDevLog = address === dev?.log.url;
  const token = given ?? (isDevLog ? dev.log.tokens[role] : undefined);
  assertToken(token);
  const isDev = isDevLog && given === undefined && process.env["TALLYSTICK_POLICY"] === undefined;
  return { url: address, token, fetch: await fetchOf(invocation, address), isDev };
}

/** Without slashes at the end. @throws {UsageError} */
function addressOf(url: string): string {
  const parsed = URL.parse(url);
  // Passwords belong in no address, and must not be shown where they stand in one.
  if (parsed !== null && (parsed.username !== "" || parsed.password !== ""))
    throw new UsageError("--log: expected an address without user and password; --token takes a token");
  if (parsed === null || !/^https?:$/.test(parsed.protocol) || /[?#\s\\]/.test(url))
    throw new UsageError(`--log: expected http(s)://…, without ? and #, got ${quote(url)}`);
  return url.replace(/\/+$/, "");
}

/** What cannot stand in a header would be shown by whoever refuses it later. @throws {UsageError} */
function assertToken(token: string | undefined): void {
  if (token !== undefined && !/^[\x21-\x7e]{1,8192}$/.test(token))
    throw new UsageError("--token: expected a token of at most 8192 ASCII characters, without blanks and line ends");
}

/** @throws {UsageError} No policy is named anywhere. @throws {TlogError} `policy-malformed` */
export async function policyOf(invocation: Invocation): Promise<Policy> {
  const { path, source } = await policyFile(invocation);
  if (path === undefined) {
    const what = "a file that says whom to trust: the log's key, the witnesses, the quorum";
    throw new UsageError(`--policy: expected ${what}; ${NO_DEV_FILE}`);
  }
  const bytes = await readNamed(`the policy of ${source}`, path, POLICY_BYTES_MAX);
  return naming(path, () => parsePolicy(bytes));
}

/** The file, and who names it. */
async function policyFile({
  text,
}: Invocation): Promise<{ readonly path: string | undefined; readonly source: string }> {
  const option = text("policy");
  if (option !== undefined) return { path: option, source: "--policy" };
  const variable = process.env["TALLYSTICK_POLICY"];
  if (variable !== undefined) return { path: variable, source: "TALLYSTICK_POLICY" };
  return { path: (await readDevFile())?.policy, source: `${DEV_FOLDER}/dev.json` };
}
