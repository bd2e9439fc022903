import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { createHash } from "node:crypto";
import { withCheckLine, withoutCheckLine } from "../src/check-line.ts";
import { createToken, initServer, layoutOf, listTokens, logLayoutOf, readServer } from "../src/index.ts";

const folder = mkdtempSync(join(tmpdir(), "tallystick-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** All texts that differ from `text` in one bit. */
function flipped(text: string): readonly string[] {
  const bytes = Buffer.from(text, "latin1");
  return Array.from({ length: 8 * bytes.length }, (_, bit) => {
    const copy = Buffer.from(bytes);
    copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    return copy.toString("latin1");
  });
}

describe("a check line", () => {
  const text = "log a\nquorum 2\n";

  test("is the SHA-256 of the lines before it", () => {
    const hex = createHash("sha256").update(text).digest("hex");
    expect(withCheckLine(text)).toBe(`${text}# sha256 ${hex}\n`);
    expect(withoutCheckLine(withCheckLine(text), "p")).toBe(text);
  });

  test("C-256 lets no flipped bit of the text pass", () => {
    const whole = withCheckLine(text);
    for (const [bit, damaged] of flipped(whole).entries()) {
      // In its mark it is another comment, and the text is whole; so it is where the line feed before it is gone.
      if (bit >= 8 * (text.length - 1) && bit < 8 * (text.length + 9)) continue;
      expect(() => withoutCheckLine(damaged, "p")).toThrow(/^p does not fit the digest in its last line/);
    }
  });

  test("is not asked of a text that somebody wrote by hand", () => {
    expect(withoutCheckLine(text, "p")).toBe(text);
  });
});

describe("a server's files", () => {
  test("C-256 a sender key, a policy and tokens that changed and still parse are refused", async () => {
    const dir = join(folder, "changed");
    await initServer({ dir, name: "app", origin: "log.example/changed" });
    const layout = logLayoutOf(dir, "app");
    const change = (path: string, from: RegExp, to: (found: string) => string): (() => void) => {
      const before = readFileSync(path, "utf8");
      expect(before).toMatch(from);
      writeFileSync(path, before.replace(from, to));
      return () => writeFileSync(path, before);
    };
    const nextDigit = (digit: string): string => (digit === "a" ? "b" : "a");
    const undoKey = change(layout.senderKey, /^[0-9a-f]/, nextDigit);
    const refused = { code: "config-malformed", message: expect.stringContaining("does not fit the digest") };
    await expect(readServer(dir)).rejects.toMatchObject(refused);
    undoKey();
    const undoPolicy = change(layout.policy, /^log /, (found) => `\n${found}`);
    await expect(readServer(dir)).rejects.toMatchObject(refused);
    undoPolicy();
    expect((await readServer(dir)).logs).toHaveLength(1);
    change(layoutOf(dir).tokens, /(?<="digest": ")./, nextDigit);
    await expect(listTokens(layoutOf(dir).tokens)).rejects.toMatchObject({ code: "tokens-malformed" });
  });

  test("C-256 a log's key that the policy names and that is gone is missed", async () => {
    const dir = join(folder, "gone");
    await initServer({ dir, name: "app", origin: "log.example/gone" });
    rmSync(logLayoutOf(dir, "app").mldsa44Key);
    const message = expect.stringContaining("of which there is no file");
    await expect(readServer(dir)).rejects.toMatchObject({ code: "config-malformed", message });
  });

  test("those of earlier versions, without digests, are read as they are", async () => {
    const dir = join(folder, "earlier");
    await initServer({ dir, name: "app", origin: "log.example/earlier" });
    const layout = logLayoutOf(dir, "app");
    for (const path of [layout.senderKey, layout.policy])
      writeFileSync(path, readFileSync(path, "utf8").replace(/# sha256 .*\n/, ""));
    const { tokens } = layoutOf(dir);
    const before = JSON.parse(readFileSync(tokens, "utf8")) as { readonly tokens: unknown };
    writeFileSync(tokens, JSON.stringify({ tokens: before.tokens }));
    expect((await readServer(dir)).logs).toHaveLength(1);
    await createToken(tokens, { log: "app", role: "writer" });
    expect(await listTokens(tokens)).toHaveLength(5);
  });
});
