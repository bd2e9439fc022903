/** Every change of keys and tokens is an entry, once, whoever looked when. */
import { createSigner, formatPolicy } from "@tallystick/core";
import type { TallyEvent } from "@tallystick/events";
import { type LogStorage, createMemoryStorage } from "@tallystick/storage";
import { describe, expect, test } from "vitest";
import type { KnownKey, Log } from "../src/index.ts";
import { LogSecrets } from "../src/keys.ts";
import { LogReader } from "../src/reader.ts";
import { ORIGIN, type Site, createSite, ed25519Signer, expectWhole, login, logKeys, seed, until } from "./site.ts";

/** What the log has noted of keys, in order. */
async function noted(site: Site, log: Log): Promise<TallyEvent["context"][]> {
  const reader = new LogReader({
    storage: site.storage,
    secrets: new LogSecrets(site.keyStore),
    size: () => log.size(),
  } as ConstructorParameters<typeof LogReader>[0]);
  const contexts: TallyEvent["context"][] = [];
  for (let index = 0; index < log.size(); index += 1) {
    const { event } = await reader.open(index, await log.readLeaf(index));
    if (event.type === "log.key") contexts.push(event.context);
  }
  return contexts;
}

async function running(log: Log): Promise<Log> {
  await until(() => log.status().state === "ok");
  return log;
}

function token(id: string, role = "writer", more: Readonly<Record<string, string>> = {}): KnownKey {
  return { id, facts: { credential: id, role, ...more } };
}

describe("reported keys", () => {
  test("the first set ever is remembered without an entry, each later change is one, with what is public", async () => {
    const site = await createSite();
    const log = await running(await site.open());
    await log.reportKeys("token", [token("writer-1"), token("auditor-1", "auditor")]);
    expect(log.size()).toBe(0);
    await log.reportKeys("token", [token("writer-1"), token("auditor-1", "auditor"), token("writer-2")]);
    await log.reportKeys("token", [
      token("writer-1", "writer", { expiresAt: "2026-01-02T00:00:00.000Z" }),
      token("writer-2"),
    ]);
    expect(await noted(site, log)).toEqual([
      { change: "token-created", credential: "writer-2", role: "writer" },
      { change: "token-changed", credential: "writer-1", role: "writer", expiresAt: "2026-01-02T00:00:00.000Z" },
      { change: "token-revoked", credential: "auditor-1", role: "auditor" },
    ]);
    await log.close();
    await expectWhole(site);
  });

  test("the same set again is no entry, neither at once nor after a start", async () => {
    const site = await createSite();
    const log = await running(await site.open());
    await log.reportKeys("token", []);
    const tokens = [token("writer-1"), token("writer-2")];
    await Promise.all([log.reportKeys("token", tokens), log.reportKeys("token", tokens.toReversed())]);
    await log.close();
    const again = await running(await site.open());
    await again.reportKeys("token", tokens);
    expect(await noted(site, again)).toHaveLength(2);
  });

  test("more changes than one commit takes are all noted", async () => {
    const site = await createSite();
    const log = await running(await site.open());
    await log.reportKeys("token", []);
    await log.reportKeys(
      "token",
      Array.from({ length: 250 }, (_, at) => token(`writer-${at}`)),
    );
    expect(await noted(site, log)).toHaveLength(250);
  });

  test("a change whose commit is lost is noted by the next start", async () => {
    const storage = createMemoryStorage();
    let isFailing = false;
    const failing: LogStorage = {
      ...bound(storage),
      commit: async (commit) => {
        if (isFailing) throw new Error("the power went");
        return storage.commit(commit);
      },
    };
    const site = await createSite({ storage: failing });
    const log = await running(await site.open());
    await log.reportKeys("token", []);
    isFailing = true;
    await expect(log.reportKeys("token", [token("writer-1")])).rejects.toThrow("the power went");
    await log.close({ graceMs: 0 });
    isFailing = false;
    const again = await running(await site.open());
    await again.reportKeys("token", [token("writer-1")]);
    expect(await noted(site, again)).toEqual([{ change: "token-created", credential: "writer-1", role: "writer" }]);
  });
});

describe("the log's own keys", () => {
  test("a checkpoint key that is added, and one that is not there any more, is noted at the next start", async () => {
    const [first, second] = [ed25519Signer("log"), ed25519Signer("next")];
    const mldsa = createSigner({ name: ORIGIN, type: "mldsa44", seed: seed("mldsa") });
    const site = await createSite({ signers: [first, mldsa] });
    const policyText = formatPolicy({
      logs: [first, second, mldsa].map(({ vkey }) => ({ vkey })),
      witnesses: [],
      quorum: "none",
    });
    await (await running(await site.open())).close();
    const overlap = await running(await site.open({ keys: logKeys([first, second, mldsa]), policyText }));
    await until(() => overlap.size() >= 2);
    await overlap.close();
    const after = await running(await site.open({ keys: logKeys([second, mldsa]), policyText }));
    await until(() => after.size() >= 3);
    expect(await noted(site, after)).toEqual([
      { change: "added", key: "checkpoint", vkey: second.vkey },
      { change: "retired", key: "checkpoint", vkey: first.vkey },
    ]);
  });

  test("sender keys of the configuration, and changes of their validity, are noted", async () => {
    const site = await createSite();
    const [a, b] = [seed("a"), seed("b")];
    await (await running(await site.open({ senderKeys: [{ publicKey: a }] }))).close();
    const overlap = await running(await site.open({ senderKeys: [{ publicKey: a, to: 1000 }, { publicKey: b }] }));
    await until(() => overlap.size() >= 3);
    await overlap.close();
    const after = await running(await site.open({ senderKeys: [{ publicKey: b }] }));
    await until(() => after.size() >= 4);
    const [aHex, bHex] = [a, b].map((key) => Buffer.from(key).toString("hex"));
    expect(await noted(site, after)).toEqual([
      { change: "replaced", key: "sender", publicKey: aHex, to: 1000 },
      { change: "added", key: "sender", publicKey: bHex },
      { change: "retired", key: "sender", publicKey: aHex, to: 1000 },
    ]);
    await after.appendEvents({ writer: "app", events: [login(1)] });
  });

  test("sender keys of the rules are noted as those of the configuration are, once, also after a start", async () => {
    const site = await createSite();
    const [a, b] = [seed("a"), seed("b")];
    const [aHex = "", bHex = ""] = [a, b].map((key) => Buffer.from(key).toString("hex"));
    const rules = (...keys: readonly string[]): string =>
      `version: 1\nclasses: {}\nother: { keep: 1y }\nsenderKeys: [${keys.join(", ")}]\n`;
    const configured = { senderKeys: [{ publicKey: a, to: 1000 }] };
    const log = await running(await site.open(configured));
    const apply = async (text: string): Promise<unknown> => log.disposition.applyRules({ text, by: "officer-1" });
    await apply(rules(`{ publicKey: ${aHex} }`, `{ publicKey: ${bHex}, from: 7 }`));
    await apply(rules(`{ publicKey: ${bHex}, from: 7, to: 9 }`));
    const expected = [
      // Named by both, it is good for as long as either says.
      { change: "replaced", key: "sender", publicKey: aHex },
      { change: "added", key: "sender", publicKey: bHex, from: 7 },
      { change: "replaced", key: "sender", publicKey: aHex, to: 1000 },
      { change: "replaced", key: "sender", publicKey: bHex, from: 7, to: 9 },
    ];
    expect(await noted(site, log)).toEqual(expected);
    await log.close();
    const again = await running(await site.open(configured));
    await again.disposition.applyRules({ text: rules(), by: "officer-1" });
    expect(await noted(site, again)).toEqual([
      ...expected,
      { change: "retired", key: "sender", publicKey: bHex, from: 7, to: 9 },
    ]);
    await again.close();
    await expectWhole(site);
  });
});

/** The methods of a storage as properties, to replace some of them. */
function bound(storage: LogStorage): LogStorage {
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(storage)) as (keyof LogStorage)[];
  return Object.fromEntries(
    methods.map((name) => [name, (storage[name] as (...args: unknown[]) => unknown).bind(storage)]),
  ) as unknown as LogStorage;
}
