/** A user's id says who it is within a tenant: the same id in another one is somebody else. */
import { describe, expect, test } from "vitest";
import { type SessionStore, createMemorySessionStore, createSessions } from "@tallystick/sessions";
import { HOUR, MINUTE, T0, USUAL } from "./support/policies.ts";
import { EventList, scene } from "./support/setup.ts";

const SAME_IDS = [{}, { tenant: "acme" }, { tenant: "globex" }] as const;

/** Moves all places to where they were before those of tenants were kept apart: one entry for all users of an id. */
async function asBefore(store: SessionStore, keys: readonly string[]): Promise<void> {
  const entries = await Promise.all(keys.map(async (key) => ({ key, entry: await store.get(key) })));
  const former = keys.find((key) => key.startsWith("user/"));
  if (former === undefined) throw new Error("expected the key of a user without a tenant");
  const places = entries.flatMap(({ entry }) => (entry === undefined ? [] : (JSON.parse(entry.value) as unknown[])));
  for (const { key, entry } of entries) {
    expect(await store.put(key, key === former ? JSON.stringify(places) : null, entry?.version ?? 0)).toBe(true);
  }
}

/** A scene that knows the keys under which the store has the places of users. */
function watched(max = 2): ReturnType<typeof scene> & { readonly places: () => string[] } {
  let now = T0;
  const memory = createMemorySessionStore({ now: () => now });
  const keys = new Set<string>();
  const store: SessionStore = {
    now: async () => memory.now(),
    get: async (key) => memory.get(key),
    put: async (key, ...rest) => {
      keys.add(key);
      return memory.put(key, ...rest);
    },
    due: async (...args) => memory.due(...args),
    close: async () => memory.close(),
  };
  const log = new EventList();
  const options = { ...USUAL, tenants: {}, concurrent: { max, beyond: "end-oldest" as const } };
  const another = (): ReturnType<typeof createSessions> =>
    createSessions(log, { store, sweepIntervalMs: 0, onError: () => undefined, ...options });
  const pass = (ms: number): void => {
    now += ms;
  };
  const places = (): string[] => [...keys].filter((key) => !key.startsWith("session/") && key.includes("user/"));
  return { sessions: another(), log, store, another, pass, places };
}

describe("a user of the same id in another tenant", () => {
  test("S13 is not listed, nor ended, with this one", async () => {
    const { sessions } = scene();
    for (const of of SAME_IDS) for (let times = 0; times < 2; times += 1) await sessions.start({ user: "u1", ...of });
    for (const of of SAME_IDS) {
      const listed = await sessions.list("u1", of);
      expect(listed.map(({ tenant }) => ({ tenant }))).toEqual([of, of]);
    }
    expect(await sessions.endAll("u1", { tenant: "acme" })).toBe(2);
    expect(await sessions.endAll("u1", { tenant: "nobody" })).toBe(0);
    expect((await Promise.all(SAME_IDS.map(async (of) => sessions.list("u1", of)))).map((all) => all.length)).toEqual([
      2, 0, 2,
    ]);
    expect(await sessions.endAll("u1")).toBe(2);
    expect(await sessions.list("u1", { tenant: "globex" })).toHaveLength(2);
  });

  test.each(["deny-new", "end-oldest"] as const)("S14 %s: has a limit of its own", async (beyond) => {
    const { sessions, log } = scene({ ...USUAL, concurrent: { max: 1, beyond } });
    for (const of of SAME_IDS) await sessions.start({ user: "u1", ...of });
    await sessions.flush();
    expect(log.types()).toEqual(["session.start", "session.start", "session.start"]);
    const again = await Promise.allSettled([sessions.start({ user: "u1", tenant: "acme" })]);
    expect(again).toMatchObject([{ status: beyond === "deny-new" ? "rejected" : "fulfilled" }]);
    for (const of of SAME_IDS) expect(await sessions.list("u1", of)).toHaveLength(1);
  });

  test("has no name that is taken for another's", async () => {
    const { sessions } = scene();
    await sessions.start({ user: "u1", tenant: "acme" });
    for (const user of ['["acme","u1"]', "acme u1", "acmeu1"]) expect(await sessions.list(user)).toEqual([]);
    expect(await sessions.list("1", { tenant: "acmeu" })).toEqual([]);
  });
});

describe("sessions that began before tenants were kept apart", () => {
  test("S13 are listed and ended with their own tenant only", async () => {
    const { sessions, store, places } = watched();
    for (const of of SAME_IDS) for (let times = 0; times < 2; times += 1) await sessions.start({ user: "u1", ...of });
    await asBefore(store, places());
    for (const of of SAME_IDS) {
      expect((await sessions.list("u1", of)).map(({ tenant }) => ({ tenant }))).toEqual([of, of]);
    }
    expect(await sessions.endAll("u1")).toBe(2);
    expect(await sessions.endAll("u1", { tenant: "acme" })).toBe(2);
    expect(await sessions.list("u1", { tenant: "globex" })).toHaveLength(2);
  });

  test("S14 count within their own tenant, and leave their place to nobody else", async () => {
    const { sessions, store, places, pass, log } = watched();
    for (const of of SAME_IDS) await sessions.start({ user: "u1", ...of });
    await asBefore(store, places());
    pass(MINUTE);
    for (const of of SAME_IDS) await sessions.start({ user: "u1", ...of });
    await sessions.flush();
    expect(log.of("session.end")).toEqual([]);
    pass(MINUTE);
    for (const of of SAME_IDS) await sessions.start({ user: "u1", ...of });
    await sessions.flush();
    expect(log.of("session.end").map(({ reason, tenant }) => ({ reason, tenant }))).toEqual(
      SAME_IDS.map(({ tenant }: { readonly tenant?: string }) => ({ reason: "superseded", tenant })),
    );
    for (const of of SAME_IDS) {
      const ages = (await sessions.list("u1", of)).map(({ startedAt }) => startedAt);
      expect(ages).toEqual([T0 + MINUTE, T0 + 2 * MINUTE]);
    }
  });

  test("leave nothing behind when they are forgotten", async () => {
    const { sessions, store, places, pass } = watched();
    for (const of of SAME_IDS) await sessions.start({ user: "u1", ...of });
    await asBefore(store, places());
    pass(9 * HOUR);
    await sessions.sweep();
    pass(25 * HOUR);
    await sessions.sweep();
    await sessions.flush();
    expect(await Promise.all(places().map(async (key) => store.get(key)))).toEqual([undefined, undefined, undefined]);
  });
});
