/** Every command. Each is read when it is asked for: whoever verifies a receipt does not wait for a server's code. */
import type { Command } from "../command.ts";

/** By name, in the order of the help. */
const LOADERS: ReadonlyMap<string, () => Promise<Command>> = new Map(
  Object.entries({
    dev: async () => (await import("./dev.ts")).devCommand,
    submit: async () => (await import("./submit.ts")).submitCommand,
    import: async () => (await import("./import.ts")).importCommand,
    tail: async () => (await import("./tail.ts")).tailCommand,
    receipt: async () => (await import("./receipt.ts")).receiptCommand,
    verify: async () => (await import("./verify.ts")).verifyCommand,
    audit: async () => (await import("./audit.ts")).auditCommand,
    prove: async () => (await import("./prove.ts")).proveCommand,
    erase: async () => (await import("./erase.ts")).eraseCommand,
    subject: async () => (await import("./subject.ts")).subjectCommand,
    hold: async () => (await import("./hold.ts")).holdCommand,
    retention: async () => (await import("./retention.ts")).retentionCommand,
    rules: async () => (await import("./rules.ts")).rulesCommand,
    approve: async () => (await import("./approve.ts")).approveCommand,
    serve: async () => (await import("./serve.ts")).serveCommand,
    witness: async () => (await import("./witness.ts")).witnessCommand,
    keys: async () => (await import("./keys.ts")).keysCommand,
    fsck: async () => (await import("./fsck.ts")).fsckCommand,
  }),
);

/** The command of that name, if there is one. */
export async function findCommand(name: string): Promise<Command | undefined> {
  return LOADERS.get(name)?.();
}

/** All of them, in the order of the help. */
export async function allCommands(): Promise<readonly Command[]> {
  return Promise.all([...LOADERS.values()].map((load) => load()));
}
