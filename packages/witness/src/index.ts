/** A C2SP witness: cosigns only checkpoints that extend what it cosigned before. */
export { type WitnessAppOptions, createWitnessApp } from "./app.ts";
export type { KnownLog, LogConfig } from "./config.ts";
export {
  type AdmitInput,
  type Admission,
  type Approval,
  type Refusal,
  type RefusalCode,
  type SubtreeApproval,
  type SubtreeInput,
  type UpdateInput,
  admitCheckpoint,
  decideSubtree,
  decideUpdate,
} from "./decide.ts";
export type { ListStatus } from "./discovery.ts";
export { WitnessError, type WitnessErrorCode } from "./error.ts";
export { type ForkEvidence, type ListedEvidence, listEvidence } from "./evidence.ts";
export { formatFingerprint } from "./fingerprint.ts";
export {
  type AddListOptions,
  type AddLogOptions,
  type AddedList,
  type AddedLog,
  type InitWitnessOptions,
  type InitializedWitness,
  type ListedLog,
  type RemoveLogOptions,
  addList,
  addLog,
  initWitness,
  listLogs,
  readWitnessKeys,
  removeList,
  removeLog,
} from "./init.ts";
export { type ListedLogOffer, parseLogList } from "./log-list.ts";
export type { WitnessLogger } from "./logger.ts";
export type { Trouble } from "./origin-worker.ts";
export type { ProblemCode } from "./problem.ts";
export type { Fetch } from "./published-head.ts";
export {
  type AddCheckpointRequest,
  type SignSubtreeRequest,
  type SubmittedNote,
  parseAddCheckpoint,
  parseSignSubtree,
} from "./request.ts";
export { type ServeWitnessOptions, type ServedWitness, serveWitness } from "./serve.ts";
export type { KeyRef } from "./signature-line.ts";
export type { OriginState } from "./state.ts";
export type { VerifiedLine } from "./verified-line.ts";
export {
  type Answer,
  type AnswerCode,
  type LogStatus,
  type OpenWitnessOptions,
  type Witness,
  type WitnessStatus,
  openWitness,
} from "./witness.ts";
