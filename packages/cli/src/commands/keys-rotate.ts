/** `keys rotate-token` and `keys rotate-log`: another key or token beside the present one, which ends later. */
import { parseVkey, quote } from "@tallystick/core";
import { type RotatedLogKey, addLogKeys, layoutOf, retireLogKey, rotateToken } from "@tallystick/server";
import { EXIT, type ExitCode, type Invocation, UsageError } from "../command.ts";
import { folderOf, logOf } from "../server-folder.ts";
import { bold } from "../terminal.ts";

const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };
const DEFAULT_OVERLAP = "24h";

export async function rotateTokenAction(invocation: Invocation, words: readonly string[]): Promise<ExitCode> {
  const [id, ...more] = words;
  if (id === undefined || more.length > 0) throw new UsageError("rotate-token: expected one ID");
  const overlapMs = overlapOf(invocation.text("overlap") ?? DEFAULT_OVERLAP);
  const made = await rotateToken(layoutOf(folderOf(invocation)).tokens, { id, overlapMs });
  invocation.terminal.line(made.token);
  invocation.terminal.line(`${made.id} replaces ${id}, which ends at ${made.expiresAt}`);
  invocation.terminal.value(made);
  return EXIT.ok;
}

/** `90m`, `24h`, `7d`; `0` ends the old one at once. @throws {UsageError} */
function overlapOf(text: string): number {
  if (text === "0") return 0;
  const [, count = "", unit = ""] = /^([1-9]\d{0,3})([mhd])$/.exec(text) ?? [];
  const ms = Number(count) * (UNITS[unit] ?? 0);
  if (ms > 0 && ms <= 90 * 86_400_000) return ms;
  throw new UsageError(`--overlap: expected 0, or minutes, hours or days up to 90d, such as 24h, got ${quote(text)}`);
}

export async function rotateLogAction(invocation: Invocation): Promise<ExitCode> {
  const [dir, { name }] = [folderOf(invocation), await logOf(invocation)];
  const keyId = invocation.text("retire");
  if (keyId === undefined) {
    const added = await addLogKeys({ dir, name });
    tell(invocation, added, "will sign beside those that the log has, from its next start on");
    invocation.terminal.line("next: have every witness add these keys, and give the policy to whoever verifies:");
    for (const vkey of added.changed) invocation.terminal.line(`  tallystick witness add-log ${vkey}`);
    invocation.terminal.line(
      "then start the log again; once all have the new policy, retire the old keys: --retire ID",
    );
    return EXIT.ok;
  }
  if (!/^[0-9a-f]{8}$/.test(keyId)) throw new UsageError(`--retire: expected 8 hex digits, got ${quote(keyId)}`);
  tell(invocation, await retireLogKey({ dir, name, keyId }), "is retired from the log's next start on");
  return EXIT.ok;
}

function tell({ terminal }: Invocation, rotated: RotatedLogKey, what: string): void {
  for (const vkey of rotated.changed) {
    const type = parseVkey(vkey).type === 6 ? "ML-DSA-44" : "Ed25519";
    terminal.line(`${type} key ${what}:`);
    terminal.line(`  ${vkey}`);
  }
  terminal.line(bold(rotated.policyPath), `  the policy; as it was before: ${rotated.policyBeforePath}`);
  terminal.value(rotated);
}
