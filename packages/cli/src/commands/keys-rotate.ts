/** `keys rotate-token` and `keys rotate-log`: another key or token beside the present one, which ends later. */
import { formatKeyId, parseVkey, quote } from "@tallystick/core";
import { type RotatedLogKey, addLogKeys, layoutOf, retireLogKey, rotateToken } from "@tallystick/server";
import { EXIT, type ExitCode, type Invocation, UsageError } from "../command.ts";
import { quoteWord } from "../command-line.ts";
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
    const names = added.changed.map(describeKey).join(", ");
    invocation.terminal.line(`${names}: will sign beside those that the log has, from its next start on`);
    showPolicy(invocation, added);
    invocation.terminal.line(
      "next: give the policy to whoever verifies, and have every witness add the keys, in its FOLDER:",
    );
    for (const vkey of added.changed)
      invocation.terminal.line(`  tallystick witness add-log ${quoteWord(vkey)} --dir FOLDER`);
    invocation.terminal.line(
      "then start the log again; once all have the new policy, retire the old keys: --retire ID",
    );
    return EXIT.ok;
  }
  if (!/^[0-9a-f]{8}$/.test(keyId)) throw new UsageError(`--retire: expected 8 hex digits, got ${quote(keyId)}`);
  const retired = await retireLogKey({ dir, name, keyId });
  for (const vkey of retired.changed)
    invocation.terminal.line(`${describeKey(vkey)} is retired from the log's next start on`);
  showPolicy(invocation, retired);
  return EXIT.ok;
}

function describeKey(vkey: string): string {
  const { type, keyId } = parseVkey(vkey);
  return `${type === 6 ? "ML-DSA-44" : "Ed25519"} key ${formatKeyId(keyId)}`;
}

function showPolicy({ terminal }: Invocation, rotated: RotatedLogKey): void {
  terminal.line(bold(rotated.policyPath), `  the policy; as it was before: ${rotated.policyBeforePath}`);
  terminal.value(rotated);
}
