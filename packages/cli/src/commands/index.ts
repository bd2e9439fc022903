/** Every command, in the order of the help. */
import type { Command } from "../command.ts";
import { approveCommand } from "./approve.ts";
import { auditCommand } from "./audit.ts";
import { devCommand } from "./dev.ts";
import { eraseCommand } from "./erase.ts";
import { fsckCommand } from "./fsck.ts";
import { holdCommand } from "./hold.ts";
import { importCommand } from "./import.ts";
import { keysCommand } from "./keys.ts";
import { proveCommand } from "./prove.ts";
import { receiptCommand } from "./receipt.ts";
import { retentionCommand } from "./retention.ts";
import { rulesCommand } from "./rules.ts";
import { serveCommand } from "./serve.ts";
import { submitCommand } from "./submit.ts";
import { subjectCommand } from "./subject.ts";
import { tailCommand } from "./tail.ts";
import { verifyCommand } from "./verify.ts";
import { witnessCommand } from "./witness.ts";

export const COMMANDS: readonly Command[] = [
  devCommand,
  submitCommand,
  importCommand,
  tailCommand,
  receiptCommand,
  verifyCommand,
  auditCommand,
  proveCommand,
  eraseCommand,
  subjectCommand,
  holdCommand,
  retentionCommand,
  rulesCommand,
  approveCommand,
  serveCommand,
  witnessCommand,
  keysCommand,
  fsckCommand,
];
