import { chmodSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import { ROLES, Tokens, createToken, listTokens, revokeToken } from "../src/index.ts";
import { TokenFile } from "../src/token-file.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

function tokensPath(): string {
  return join(temporaryFolder(), "tokens.json");
}

describe("createToken", () => {
  test.each(ROLES)("makes a %s's token of 32 random bytes, and keeps its digest only", async (role) => {
    const path = tokensPath();
    const { id, token } = await createToken(path, { log: "app", role });
    expect(token).toMatch(new RegExp(`^tsk_${role}_[A-Za-z0-9_-]{43}$`));
    const text = readFileSync(path, "utf8");
    expect(text).not.toContain(token.slice(-43));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect((await Tokens.read(path)).find(token)).toEqual({ id, role, log: "app" });
  });

  test("no two are alike, and each is found", async () => {
    const path = tokensPath();
    const made = [];
    for (let at = 0; at < 10; at += 1) made.push(await createToken(path, { log: "app", role: "writer" }));
    expect(new Set(made.map(({ token }) => token)).size).toBe(10);
    const tokens = await Tokens.read(path);
    expect(made.map(({ token }) => tokens.find(token)?.id)).toEqual(made.map(({ id }) => id));
    expect((await listTokens(path)).map(({ id }) => id)).toEqual(made.map(({ id }) => id));
  });
});

test("a token with one character changed is nobody's", async () => {
  const path = tokensPath();
  const { token } = await createToken(path, { log: "app", role: "writer" });
  const tokens = await Tokens.read(path);
  for (let at = 0; at < token.length; at += 1) {
    const other = token[at] === "A" ? "B" : "A";
    expect(tokens.find(token.slice(0, at) + other + token.slice(at + 1))).toBeUndefined();
  }
  for (const text of ["", token.slice(1), `${token}A`, ` ${token}`, "undefined"])
    expect(tokens.find(text)).toBeUndefined();
});

test("over one connection each request is its own token's, whatever came before it", async () => {
  const path = tokensPath();
  const [first, second] = [
    await createToken(path, { log: "app", role: "writer" }),
    await createToken(path, { log: "app", role: "auditor" }),
  ];
  const tokens = await Tokens.read(path);
  const connection = {};
  const changed = `${first.token.slice(0, -1)}${first.token.endsWith("A") ? "B" : "A"}`;
  for (const text of [
    first.token,
    first.token,
    changed,
    second.token,
    "",
    `${first.token}A`,
    first.token,
    `${changed}é`,
  ])
    expect([text, tokens.find(text, connection)]).toEqual([text, tokens.find(text)]);
  const once = await Tokens.read(path);
  for (const text of [changed, first.token, changed]) expect(once.find(text, connection)).toEqual(tokens.find(text));
});

describe("revokeToken", () => {
  test("takes one token away, and no other", async () => {
    const path = tokensPath();
    const [kept, revoked] = [
      await createToken(path, { log: "app", role: "auditor" }),
      await createToken(path, { log: "app", role: "auditor" }),
    ];
    await revokeToken(path, revoked.id);
    const tokens = await Tokens.read(path);
    expect([tokens.find(kept.token)?.id, tokens.find(revoked.token)]).toEqual([kept.id, undefined]);
  });

  test("says so when there is none of that id", async () => {
    const path = tokensPath();
    await createToken(path, { log: "app", role: "auditor" });
    expect(await rejectionCode(revokeToken(path, "auditor-0"))).toBe("token-unknown");
  });
});

test.each(["", "{", "[]", '{"tokens":[{"id":"a"}]}', '{"tokens":[],"tokens":[]}', '{"tokens":[],"more":1}'])(
  "a file that says %j is refused",
  async (text) => {
    const path = tokensPath();
    writeFileSync(path, text);
    expect(await rejectionCode(Tokens.read(path))).toBe("tokens-malformed");
  },
);

describe("TokenFile", () => {
  test("takes up tokens that are made and revoked while it is open", async () => {
    const path = tokensPath();
    const first = await createToken(path, { log: "app", role: "writer" });
    const file = await TokenFile.open(path, { intervalMs: 10, onTrouble: () => undefined });
    const second = await createToken(path, { log: "app", role: "writer" });
    await vi.waitFor(() => expect(file.find(second.token)?.id).toBe(second.id));
    await revokeToken(path, first.id);
    await vi.waitFor(() => expect(file.find(first.token)).toBeUndefined());
    expect(file.find(second.token)?.id).toBe(second.id);
    file.close();
  });

  test("complains once of a file that cannot be used, and goes on with what it knew", async () => {
    const path = tokensPath();
    const { token, id } = await createToken(path, { log: "app", role: "writer" });
    const troubles: unknown[] = [];
    const file = await TokenFile.open(path, { intervalMs: 5, onTrouble: (error) => troubles.push(error) });
    renameSync(path, `${path}.away`);
    await vi.waitFor(() => expect(troubles).toHaveLength(1));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([troubles.length, file.find(token)?.id]).toEqual([1, id]);
    writeFileSync(path, "{");
    await vi.waitFor(() => expect(troubles).toHaveLength(2));
    rmSync(path);
    renameSync(`${path}.away`, path);
    chmodSync(path, 0o600);
    await revokeToken(path, id);
    await vi.waitFor(() => expect(file.find(token)).toBeUndefined());
    file.close();
  });
});
