import { createHash } from "node:crypto";
import { chmodSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import {
  ROLES,
  type Scope,
  Tokens,
  UNSCOPED_ROLES,
  createToken,
  listTokens,
  revokeToken,
  rotateToken,
} from "../src/index.ts";
import { TokenFile } from "../src/token-file.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

function tokensPath(): string {
  return join(temporaryFolder(), "tokens.json");
}

const DIGEST = /,\s*"sha256": "[0-9a-f]{64}"/;

function change(path: string, from: RegExp, to: string): void {
  const before = readFileSync(path, "utf8");
  expect(before).toMatch(from);
  writeFileSync(path, before.replace(from, to));
}

describe("createToken", () => {
  test("changes made by several at the same time are all there afterwards", async () => {
    const path = tokensPath();
    const first = await createToken(path, { log: "app", role: "auditor" });
    const other = await createToken(path, { log: "app", role: "writer" });
    const made = await Promise.all([
      ...UNSCOPED_ROLES.map(async (role) => createToken(path, { log: "app", role })),
      createToken(path, { log: "app", role: "reader", subject: "u_1" }),
      createToken(path, { log: "app", role: "reader", subject: "u_2" }),
      rotateToken(path, { id: other.id, overlapMs: 60_000 }),
      revokeToken(path, first.id),
    ]);
    const created = made.flatMap((one) => (one === undefined ? [] : [one.id]));
    const listed = (await listTokens(path)).map(({ id }) => id);
    expect(listed.toSorted()).toEqual([...created, other.id].toSorted());
  });

  test.each(UNSCOPED_ROLES)("makes a %s's token of 32 random bytes, and keeps its digest only", async (role) => {
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

describe("a reader's token", () => {
  const PERSON = "canary-person@example.com";
  const TENANT = "canary-tenant";

  test("is known by keyed hashes of its subject and tenant, which stand nowhere in plain", async () => {
    const path = tokensPath();
    const mine = await createToken(path, { log: "app", role: "reader", subject: PERSON });
    const ours = await createToken(path, { log: "app", role: "reader", tenant: TENANT });
    const both = await createToken(path, { log: "app", role: "reader", subject: PERSON, tenant: TENANT });
    const text = readFileSync(path, "utf8");
    for (const canary of [PERSON, TENANT]) {
      expect(text).not.toContain(canary);
      expect(text).not.toContain(createHash("sha256").update(canary).digest("hex"));
    }
    const tokens = await Tokens.read(path);
    const scopeOf = (token: string): Scope => tokens.find(token)?.scope ?? {};
    expect(scopeOf(mine.token).subject?.is(PERSON)).toBe(true);
    expect([scopeOf(mine.token).subject?.is(TENANT), scopeOf(mine.token).tenant]).toEqual([false, undefined]);
    expect([scopeOf(ours.token).tenant?.is(TENANT), scopeOf(ours.token).tenant?.is(PERSON)]).toEqual([true, false]);
    expect(Object.keys(scopeOf(both.token)).toSorted()).toEqual(["subject", "tenant"]);
    expect((await listTokens(path)).map(({ scope }) => scope)).toEqual([
      ["subject"],
      ["tenant"],
      ["subject", "tenant"],
    ]);
    expect(JSON.stringify(await listTokens(path))).not.toContain("canary");
  });

  test("has another hash in another file, and as a tenant than as a subject", async () => {
    const hashes = new Set<string>();
    for (const path of [tokensPath(), tokensPath()]) {
      for (const scope of [{ subject: "same" }, { tenant: "same" }])
        await createToken(path, { log: "app", role: "reader", ...scope });
      for (const [hash] of readFileSync(path, "utf8").matchAll(/(?<="(?:subject|tenant)": ")[0-9a-f]{64}/g))
        hashes.add(hash);
    }
    expect(hashes.size).toBe(4);
  });

  test("stays as it is when other tokens come and go, and is revoked as they are", async () => {
    const path = tokensPath();
    const reader = await createToken(path, { log: "app", role: "reader", subject: PERSON });
    const other = await createToken(path, { log: "app", role: "writer" });
    await revokeToken(path, other.id);
    expect((await Tokens.read(path)).find(reader.token)?.scope?.subject?.is(PERSON)).toBe(true);
    await revokeToken(path, reader.id);
    expect((await Tokens.read(path)).find(reader.token)).toBeUndefined();
  });

  test("is not made without a scope, and no other role's with one", async () => {
    const path = tokensPath();
    await expect(createToken(path, { log: "app", role: "reader" })).rejects.toThrow(/^reader: expected a subject or/);
    for (const role of ROLES.filter((each) => each !== "reader"))
      await expect(createToken(path, { log: "app", role, subject: PERSON })).rejects.toThrow(
        `${role}: expected neither`,
      );
    expect(() => statSync(path)).toThrow("ENOENT");
  });

  const CHANGES: readonly [what: string, from: RegExp, to: string][] = [
    ["loses its scope", /,\s*"subject": "[0-9a-f]{64}"/, ""],
    ["becomes an auditor's", /"role": "reader"/, '"role": "auditor"'],
    ["loses its key", /\s*"scopeKey": "[0-9a-f]{64}",/, ""],
  ];

  test.each(CHANGES)("that %s by hand is refused, even where the file's digest was taken out", async (_, from, to) => {
    const path = tokensPath();
    await createToken(path, { log: "app", role: "reader", subject: PERSON });
    change(path, from, to);
    expect(await rejectionCode(Tokens.read(path))).toBe("tokens-malformed");
    change(path, DIGEST, "");
    expect(await rejectionCode(Tokens.read(path))).toBe("tokens-malformed");
  });

  test("whose key is changed by hand is one for nobody's contents", async () => {
    const path = tokensPath();
    const { token } = await createToken(path, { log: "app", role: "reader", subject: PERSON });
    change(path, /(?<="scopeKey": ")[0-9a-f]{64}/, "0".repeat(64));
    expect(await rejectionCode(Tokens.read(path))).toBe("tokens-malformed");
    change(path, DIGEST, "");
    expect((await Tokens.read(path)).find(token)?.scope?.subject?.is(PERSON)).toBe(false);
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

test("a token that was made with the server is marked as such, until it is replaced", async () => {
  const path = tokensPath();
  const first = await createToken(path, { log: "app", role: "writer", initial: true });
  const second = await createToken(path, { log: "app", role: "writer" });
  const third = await rotateToken(path, { id: first.id, overlapMs: 0 });
  const marks = (await listTokens(path)).map(({ id, initial }) => [id, initial]);
  expect(marks).toEqual([
    [first.id, true],
    [second.id, undefined],
    [third.id, undefined],
  ]);
});
