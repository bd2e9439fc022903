/** A real PKCS#11 token in software, SoftHSM, where the machine has it or Debian's package of it can be fetched. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const CACHE = new URL("../../node_modules/.cache/softhsm", import.meta.url).pathname;
const LIBRARY = "usr/lib/softhsm/libsofthsm2.so";
const UTIL = "usr/bin/softhsm2-util";
const FETCH_MS = 20_000;

export interface SoftHsm {
  /** The library's path. */
  readonly library: string;
  /** Makes a token in the folder that {@link useTokensIn} named. */
  createToken(label: string, pin: string): void;
}

/** SoftHSM, or `undefined` where it is not there and cannot be had. */
export function findSoftHsm(): SoftHsm | undefined {
  const place = ["/", CACHE].find(hasSoftHsm) ?? fetchSoftHsm();
  if (place === undefined) return undefined;
  const library = join(place, LIBRARY);
  return {
    library,
    createToken(label, pin) {
      const names = ["--label", label, "--pin", pin, "--so-pin", "so-pin"];
      execFileSync(join(place, UTIL), ["--module", library, "--init-token", "--free", ...names], { stdio: "ignore" });
    },
  };
}

/** Tokens of this process and of those that it starts are in `folder` from now on. The library reads this once. */
export function useTokensIn(folder: string): void {
  const tokens = join(folder, "tokens");
  mkdirSync(tokens, { recursive: true });
  const path = join(folder, "softhsm2.conf");
  writeFileSync(path, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`);
  process.env["SOFTHSM2_CONF"] = path;
}

function hasSoftHsm(place: string): boolean {
  return [LIBRARY, UTIL].every((file) => existsSync(join(place, file)));
}

/** Unpacks the packages beside the cache and renames, since two test files may come at once. Needs no rights. */
function fetchSoftHsm(): string | undefined {
  const folder = `${CACHE}.${process.pid}`;
  try {
    mkdirSync(folder, { recursive: true });
    const script = 'apt-get download libsofthsm2 softhsm2 && for each in *.deb; do dpkg-deb -x "$each" .; done';
    const { status } = spawnSync("sh", ["-c", script], { cwd: folder, timeout: FETCH_MS, stdio: "ignore" });
    if (status === 0 && hasSoftHsm(folder)) renameSync(folder, CACHE);
  } catch {
    // Somebody else was first, or it is not to be had.
  }
  rmSync(folder, { recursive: true, force: true });
  return hasSoftHsm(CACHE) ? CACHE : undefined;
}
