/** A Tallystick log as a library, without HTTP. */
export { LogError, type LogErrorCode } from "./error.ts";
export { type FsckOptions, fsckLog } from "./fsck.ts";
export { type RepairReport, repairLog } from "./fsck/repair.ts";
export type { FsckCode, FsckCounts, FsckFinding, FsckReport } from "./fsck/report.ts";
export { openLog } from "./log.ts";
export type * from "./log-api.ts";
export { Lru } from "./lru.ts";
export type {
  ApprovedText,
  ClassDay,
  ClassDayScope,
  Destruction,
  DestructionState,
  Disposition,
  EraseInput,
  ExportedEntry,
  Hold,
  HoldSelectors,
  Ordered,
  RetentionRun,
  RulesInForce,
  SetHoldInput,
} from "./disposition/api.ts";
export { type Preparation, type Prepared, type Refused, buffersOf, prepareBatch, prepareEvents } from "./prepared.ts";
export { type RulesDefect, formatRulesDefect } from "./rules/defects.ts";
export { type DescribedChange, type KeepDays, type RulesChange, diffRules } from "./rules/diff-rules.ts";
export { defaultRulesText } from "./rules/default-rules.ts";
export { formatDays } from "./rules/duration.ts";
export { parseRules, rulesJsonSchema } from "./rules/parse-rules.ts";
export {
  type ClassRule,
  type EraseHow,
  type GrantRule,
  type GrantedRole,
  type IdentityRule,
  type Rules,
  type SenderKeyRule,
  type TwoPersonAct,
  ruleOf,
  rulesDigest,
} from "./rules/rules.ts";
export {
  type Amount,
  type Fate,
  type SimulateRulesInput,
  type SimulatedClass,
  type SimulatedClassDay,
  type Simulation,
  simulateRules,
} from "./rules/simulate-rules.ts";
