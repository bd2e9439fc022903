/** Which files others than their owner may read or change, although they should not. */
import { stat } from "node:fs/promises";

export interface GuardedPath {
  readonly path: string;
  /** Whether others may read it, as long as they do not change it. */
  readonly isPublic?: boolean;
}

export interface ExposedPath {
  readonly path: string;
  /** Octal, three digits. */
  readonly mode: string;
  /** The mode that it should have. */
  readonly expected: string;
}

/** Those whose mode gives away more than it should. What is not there is not exposed; Windows has no modes. */
export async function findExposed(guarded: readonly GuardedPath[]): Promise<readonly ExposedPath[]> {
  if (process.platform === "win32") return [];
  const found = await Promise.all(guarded.map(exposureOf));
  return found.filter((exposed) => exposed !== undefined);
}

async function exposureOf({ path, isPublic = false }: GuardedPath): Promise<ExposedPath | undefined> {
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined || (stats.mode & (isPublic ? 0o022 : 0o077)) === 0) return undefined;
  const mode = (stats.mode & 0o777).toString(8).padStart(3, "0");
  const [folder, file] = isPublic ? ["755", "644"] : ["700", "600"];
  return { path, mode, expected: stats.isDirectory() ? folder : file };
}
