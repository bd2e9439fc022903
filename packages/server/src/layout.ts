/** Where a server keeps what: one folder, in which keys and data have folders of their own, to be backed up apart. */
import { join } from "node:path";

export interface Layout {
  readonly config: string;
  readonly tokens: string;
  /** The master key; the environment's wins where it is set. */
  readonly masterKey: string;
  /** Seals tickets for a second person. Made at the first start. */
  readonly approvalKey: string;
  /** Under it persons are known whom identity providers vouch for. Made at the first start. */
  readonly identityKey: string;
}

export interface LogLayout {
  /** LevelDB and marks: no keys in it. */
  readonly data: string;
  /** The keys of class-days, persons and tenants. Back it up apart, if at all: docs/guides/run-a-log.md */
  readonly keyStore: string;
  readonly ed25519Key: string;
  readonly mldsa44Key: string;
  readonly senderKey: string;
  /** Keys that will be the log's, and sign beside the present ones: while keys are replaced. */
  readonly nextEd25519Key: string;
  readonly nextMldsa44Key: string;
  /** Public keys that signed earlier heads, a line each. */
  readonly retiredKeys: string;
  readonly policy: string;
  /** Of retention, roles and sender keys; need not be there. */
  readonly rules: string;
}

export function layoutOf(dir: string): Layout {
  return {
    config: join(dir, "server.json"),
    tokens: join(dir, "tokens.json"),
    masterKey: join(dir, "master.key"),
    approvalKey: join(dir, "approval.key"),
    identityKey: join(dir, "identity.key"),
  };
}

export function logLayoutOf(dir: string, name: string): LogLayout {
  return {
    data: join(dir, "data", name),
    keyStore: join(dir, "keystore", name),
    ed25519Key: join(dir, "keys", `${name}.ed25519.key`),
    mldsa44Key: join(dir, "keys", `${name}.mldsa44.key`),
    senderKey: join(dir, "keys", `${name}.sender.key`),
    nextEd25519Key: join(dir, "keys", `${name}.next.ed25519.key`),
    nextMldsa44Key: join(dir, "keys", `${name}.next.mldsa44.key`),
    retiredKeys: join(dir, "keys", `${name}.retired.txt`),
    policy: join(dir, "policies", `${name}.txt`),
    rules: join(dir, "rules", `${name}.yaml`),
  };
}
