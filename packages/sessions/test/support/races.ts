/** What has to hold in five processes over one store, as tests: S17, S18, S19, and the races of S11, S13 and S14 with real parallelism. */
import type { Report } from "@tallystick/client";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Checked, type Sessions, createMemorySessionStore, createSessions } from "@tallystick/sessions";
import { removeFolder, temporaryFolder } from "../../../../test/support/processes.ts";
import { Instance, type Place, type StorePlace, recordedIn } from "./instance.ts";
import { HOUR, MINUTE, T0, USUAL } from "./policies.ts";
import { EventList } from "./setup.ts";

const INSTANCES = 5;
const ROUND_MS = 61_000;
const TERMINAL = ["session.end", "session.timeout"];

/** Makes an empty store; the folder is gone when the test is over. */
export type MakeStore = (folder: string) => Promise<StorePlace>;

/** @param stores - By name. The same five processes have one after the other. */
export function testRaces(stores: Readonly<Record<string, MakeStore>>): void {
  const five = Array.from({ length: INSTANCES }, () => new Instance());
  // Until they are up: on a busy machine that takes a while.
  beforeAll(async () => Promise.all(five.map(async (instance) => instance.call("close", []))));
  afterAll(async () => Promise.all(five.map(async (instance) => instance.stop())));
  describe.each(Object.entries(stores))("%s", (_, makeStore) => {
    testRacesOver(makeStore, five);
  });
}

function testRacesOver(makeStore: MakeStore, five: readonly Instance[]): void {
  let folder: string;
  let store: StorePlace;
  beforeEach(async () => {
    folder = await temporaryFolder();
    store = await makeStore(folder);
  });
  afterEach(async () => {
    await Promise.all(five.map(async (instance) => instance.call("close", []).catch(() => undefined)));
    await removeFolder(folder);
  });

  /** Five instances over one store, whose own clocks are minutes apart. */
  async function openFive(limits: Place["limits"] = USUAL): Promise<void> {
    await Promise.all(
      five.map(async (instance, at) => instance.open(folder, { store, limits, clockOffsetMs: (at - 2) * 5 * MINUTE })),
    );
  }

  test("S18 S19 give the verdicts of one, though their own clocks are minutes apart", async () => {
    await openFive();
    let now = T0;
    const log = new EventList();
    const store = createMemorySessionStore({ now: () => now });
    const one = createSessions(log, { ...USUAL, store, sweepIntervalMs: 0 });
    const random = randomFrom(7);
    const users = ["u1", "u2", "u3", "u4"];
    const ofOne = await Promise.all(users.map(async (user) => (await one.start({ user })).token));
    const ofFive = await Promise.all(
      users.map(async (user, at) => (await nth(five, at).call("start", [{ user }], now)).token),
    );
    const verdicts: (string | undefined)[] = [];
    for (let turn = 0; turn < 150; turn += 1) {
      now += Math.floor(random() ** 4 * 20 * MINUTE);
      const who = Math.floor(random() * users.length);
      const ask = ASKS[Math.floor(random() * ASKS.length)];
      const instance = nth(five, turn);
      const expected = await ask?.(one, ofOne[who] ?? "");
      const got = await ask?.(
        {
          check: async (...args) => instance.call("check", args, now),
          extend: async (...args) => instance.call("extend", args, now),
        },
        ofFive[who] ?? "",
      );
      expect(told(got)).toEqual(told(expected));
      verdicts.push(got?.kind);
    }
    expect(new Set(verdicts)).toEqual(new Set(["ok", "expired", "reauth-required"]));
    await Promise.all([one.flush(), ...five.map(async (instance) => instance.call("flush", []))]);
    const chains = chainsOf(recordedIn(folder)).map(typesOf).toSorted();
    expect(chains).toEqual(
      chainsOf(log.events as Report[])
        .map(typesOf)
        .toSorted(),
    );
  });

  test("S11 timeout, logout, revocation and activity in five processes leave one end", async () => {
    await openFive();
    for (let round = 0; round < 8; round += 1) {
      const start = T0 + round * 10 * HOUR;
      const { token } = await nth(five, round).call("start", [{ user: `u${round}` }], start);
      const at = start + (round % 2 === 0 ? MINUTE : 30 * MINUTE);
      await Promise.all([
        nth(five, 0).call("sweep", [], at),
        nth(five, 1).call("end", [token], at),
        nth(five, 2).call("end", [token, { reason: "revoked" }], at),
        nth(five, 3).call("check", [token], at),
        nth(five, 4).call("extend", [token], at),
      ]);
      for (const instance of five) expect((await instance.call("check", [token])).kind).not.toBe("ok");
    }
    await Promise.all(five.map(async (instance) => instance.call("flush", [])));
    const ends = recordedIn(folder).filter(({ type }) => TERMINAL.includes(type));
    expect(ends).toHaveLength(8);
    expect(new Set(ends.map(({ session }) => session?.id)).size).toBe(8);
    for (const chain of chainsOf(recordedIn(folder))) expect(chain.map(numberOf)).toEqual(chain.map((_, at) => at));
  });

  test.each(["deny-new", "end-oldest"] as const)(
    "S14 %s: 50 logins in five processes never exceed the limit",
    async (beyond) => {
      await openFive({ ...USUAL, concurrent: { max: 3, beyond } });
      const logins = Array.from({ length: 50 }, async (_, at) => nth(five, at).call("start", [{ user: "u1" }]));
      const done = await Promise.allSettled(logins);
      const tokens = done.flatMap((login) => (login.status === "fulfilled" ? [login.value.token] : []));
      expect(tokens).toHaveLength(beyond === "deny-new" ? 3 : 50);
      const verdicts = await Promise.all(tokens.map(async (token, at) => nth(five, at).call("check", [token])));
      expect(verdicts.filter(({ kind }) => kind === "ok")).toHaveLength(3);
      await Promise.all(five.map(async (instance) => instance.call("flush", [])));
      const counts = Map.groupBy(recordedIn(folder), ({ type, outcome }) => `${type} ${outcome}`);
      expect(counts.get("session.start success")).toHaveLength(tokens.length);
      expect(counts.get("auth.login denied") ?? []).toHaveLength(50 - tokens.length);
      expect(counts.get("session.end success") ?? []).toHaveLength(beyond === "deny-new" ? 0 : 47);
    },
  );

  test("S17 a kill changes no deadline, and takes no entry from the chain", async () => {
    const [victim, next] = [new Instance(), nth(five, 0)];
    await victim.open(folder, { store, limits: USUAL, clockOffsetMs: 0 });
    const sessions = await Promise.all(
      Array.from({ length: 8 }, async (_, at) => victim.call("start", [{ user: `u${at}` }], T0)),
    );
    const deadlines = sessions.map(({ verdict }) => verdict.deadlineAt);
    for (let round = 1; round <= 12; round += 1) {
      let answered = 0;
      const asked = sessions.map(async ({ token }, at) => {
        const method = (at + round) % 2 === 0 ? "check" : "extend";
        const verdict = await victim.call(method, [token], T0 + round * ROUND_MS);
        if (verdict.kind === "ok") deadlines[at] = verdict.deadlineAt;
        answered += 1;
        // The others are under way.
        if (round === 12 && answered === 3) await victim.kill();
      });
      await Promise.allSettled(asked);
    }
    expect(Math.max(...deadlines)).toBe(T0 + 12 * ROUND_MS + 30 * MINUTE);

    await next.open(folder, { store, limits: USUAL, clockOffsetMs: 0 });
    const listed = await Promise.all(sessions.map(async (_, at) => next.call("list", [`u${at}`], T0)));
    for (const [at, [info]] of listed.entries()) {
      const known = deadlines[at] ?? 0;
      // What was answered holds. What was under way when it died may have come to be, or not.
      expect([known, known + ROUND_MS]).toContain(info?.deadlineAt);
    }
    const later = T0 + 9 * HOUR;
    await next.call("sweep", [], later);
    await next.call("sweep", [], later + MINUTE);
    await next.call("flush", []);
    const chains = chainsOf(recordedIn(folder));
    expect(chains).toHaveLength(8);
    for (const chain of chains) {
      expect(chain.map(numberOf)).toEqual(chain.map((_, at) => at));
      expect(chain.at(-1)?.type).toBe("session.timeout");
    }
  });

  test("S19 time is the store's, and runs back for none of five", async () => {
    await openFive();
    let before = 0;
    for (let turn = 0; turn < 40; turn += 1) {
      const times = await Promise.all([nth(five, turn).call("now", []), nth(five, turn + 1).call("now", [])]);
      expect(Math.min(...times)).toBeGreaterThanOrEqual(before);
      before = Math.max(...times);
    }
    // The applications' own are ten minutes off.
    expect(Math.abs(before - Date.now())).toBeLessThan(MINUTE);
  });

  test("S13 what one revokes is over in all five, whatever is under way", async () => {
    await openFive();
    for (let round = 0; round < 4; round += 1) {
      const user = `u${round}`;
      const begun = await Promise.all(five.map(async (instance) => instance.call("start", [{ user }])));
      const under = [
        ...begun.map(async ({ token }, at) =>
          nth(five, at + 1).call("check", [token, { class: "high", rotate: false }]),
        ),
        ...begun.map(async ({ token }, at) => nth(five, at + 2).call("extend", [token])),
      ];
      const except = round % 2 === 1 ? begun[0]?.session.id : undefined;
      const revoked = await nth(five, round).call("endAll", [user, except === undefined ? {} : { except }]);
      expect(revoked).toBe(except === undefined ? INSTANCES : INSTANCES - 1);
      await Promise.all(under);
      for (const { session, token } of begun) {
        const kinds = await Promise.all(five.map(async (instance) => (await instance.call("check", [token])).kind));
        expect(new Set(kinds)).toEqual(new Set([session.id === except ? "ok" : "ended"]));
      }
    }
    await Promise.all(five.map(async (instance) => instance.call("flush", [])));
    const ends = recordedIn(folder).filter(({ type }) => TERMINAL.includes(type));
    expect(ends.map(({ reason }) => reason)).toEqual(Array.from({ length: 4 * INSTANCES - 2 }, () => "revoked"));
    for (const chain of chainsOf(recordedIn(folder))) expect(chain.map(numberOf)).toEqual(chain.map((_, at) => at));
  });
}

/** An instance by number, whatever the number. */
function nth(all: readonly Instance[], at: number): Instance {
  const instance = all[at % all.length];
  if (instance === undefined) throw new Error("expected an instance");
  return instance;
}

/** The entries of each session, by their numbers. */
export function chainsOf(events: readonly Report[]): Report[][] {
  const chains = Map.groupBy(
    events.filter(({ session }) => session !== undefined),
    ({ session }) => session?.id,
  );
  return [...chains.values()].map((chain) => chain.toSorted((one, other) => numberOf(one) - numberOf(other)));
}

export function numberOf({ context }: Report): number {
  return Number(context?.["n"]);
}

/** The same numbers for the same seed. Mulberry32. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = Math.trunc(state + 0x6d2b79f5);
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What is asked for in one turn, of whatever sessions. */
type Ask = (sessions: Pick<Sessions, "check" | "extend">, token: string) => Promise<Checked>;

const ASKS: readonly Ask[] = [
  async (sessions, token) => sessions.check(token),
  async (sessions, token) => sessions.check(token, { activity: false }),
  async (sessions, token) => sessions.extend(token),
  async (sessions, token) => sessions.check(token, { reauth: { maxAge: "5m" } }),
];

/** What can be compared of an answer: ids and tokens differ from run to run. */
function told(checked: Checked | undefined): unknown {
  if (checked === undefined) throw new Error("expected an answer");
  const { session, token, ...verdict } = checked;
  return { ...verdict, last: session?.lastActivityAt, class: session?.class, rotated: token !== undefined };
}

function typesOf(chain: readonly Report[]): string {
  return chain.map(({ type, context }) => `${type} ${JSON.stringify({ ...context, policy: "" })}`).join("\n");
}
