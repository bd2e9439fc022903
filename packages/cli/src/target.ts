/** Which log a command speaks to, with which token, and whom it trusts: options, else environment, else dev.json. */
import { readFile } from "node:fs/promises";
import { type Policy, parsePolicy } from "@tallystick/core";
import { type Invocation, type OptionSpec, UsageError } from "./command.ts";
import { type DevFile, readDevFile } from "./dev-file.ts";

export const LOG_OPTIONS: Readonly<Record<"log" | "token", OptionSpec>> = {
  log: { type: "string", value: "URL", help: "the log's address (else TALLYSTICK_URL, else .tallystick/dev.json)" },
  token: { type: "string", value: "TOKEN", help: "a token for it (else TALLYSTICK_TOKEN, else .tallystick/dev.json)" },
};

export const POLICY_OPTION: Readonly<Record<"policy", OptionSpec>> = {
  policy: { type: "string", value: "FILE", help: "whom to trust (else TALLYSTICK_POLICY, else .tallystick/dev.json)" },
};

export type TokenRole = keyof DevFile["log"]["tokens"];

export interface Target {
  readonly url: string;
  readonly token: string | undefined;
}

/** @throws {UsageError} No log is named anywhere. */
export async function targetOf(invocation: Invocation, role: TokenRole): Promise<Target> {
  const dev = await readDevFile();
  const url = invocation.text("log") ?? process.env["TALLYSTICK_URL"] ?? dev?.log.url;
  if (url === undefined) throw new UsageError("--log: expected the log's address; or start one with tallystick dev");
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? ""))
    throw new UsageError(`--log: expected http(s)://…, got ${JSON.stringify(url)}`);
  const token =
    invocation.text("token") ??
    process.env["TALLYSTICK_TOKEN"] ??
    (url === dev?.log.url ? dev.log.tokens[role] : undefined);
  return { url: url.replace(/\/+$/, ""), token };
}

/** @throws {UsageError} No policy is named anywhere. @throws {TlogError} `policy-malformed` */
export async function policyOf(invocation: Invocation): Promise<Policy> {
  const path = invocation.text("policy") ?? process.env["TALLYSTICK_POLICY"] ?? (await readDevFile())?.policy;
  if (path === undefined) {
    throw new UsageError("--policy: expected a file that says whom to trust: the log's key, the witnesses, the quorum");
  }
  return parsePolicy(await readFile(path));
}
