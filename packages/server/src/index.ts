/** Tallystick logs over HTTP. */
export { type ServerAppOptions, type ServerLogger, createServerApp } from "./app.ts";
export {
  type LogConfig,
  type MasterKeyConfig,
  type Pkcs11Config,
  type ServerConfig,
  type WitnessConfig,
  parseConfig,
  readConfig,
} from "./config.ts";
export { ServerError, type ServerErrorCode } from "./error.ts";
export type { HostedLog } from "./hosted-log.ts";
export {
  type InitServerOptions,
  type InitializedServer,
  initServer,
  readLogKeys,
  readLogPolicy,
  readServer,
  writePolicy,
} from "./init.ts";
export { type Layout, type LogLayout, layoutOf, logLayoutOf } from "./layout.ts";
export { openApiDocument } from "./openapi.ts";
export { PROBLEMS, type ProblemCode } from "./problem.ts";
export type { Profile, UnmetPoint } from "./profile.ts";
export { createMasterKey, masterKeyOf, openMasterKey } from "./master-key.ts";
export {
  type AddLogKeysInput,
  type RetireLogKeyInput,
  type RotatedLogKey,
  addLogKeys,
  retireLogKey,
} from "./rotate-log-key.ts";
export { type RewrapInput, type RewrappedKeyStore, rewrapKeyStores } from "./rewrap.ts";
export { type KeyBackupFolders, keyBackupFolders } from "./key-backup.ts";
export { type ServeLogsOptions, type ServedLogs, serveLogs } from "./serve.ts";
export type { Matcher, Scope, ScopeKind } from "./scope.ts";
export {
  type CreateTokenInput,
  type CreatedToken,
  type Credential,
  type ListedToken,
  ROLES,
  type Role,
  type RotateTokenInput,
  Tokens,
  UNSCOPED_ROLES,
  type UnscopedRole,
  createToken,
  listTokens,
  revokeToken,
  rotateToken,
} from "./tokens.ts";
