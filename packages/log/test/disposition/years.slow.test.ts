/** A log with three tenants and five classes over simulated years: what is there on each day is what the rules say. */
import { expect, test } from "vitest";
import { START_MS, createSite, event, expectWhole, until, type Site } from "../site.ts";
import { opens } from "./opens.ts";

const DAY_MS = 86_400_000;
const FIRST_DAY = Math.ceil(START_MS / DAY_MS);
const TENANTS = ["acme", "globex", "initech"];
const RULES = `version: 1
classes:
  auth: { keep: 1y }
  session: { keep: 90d }
  access: { keep: 2y }
  account: { keep: 200d, atLeast: 120d }
other: { keep: 30d }
`;
/** From some day on another file of rules holds: shorter for two classes, where what was promised still binds. */
const SHORTER = RULES.replace("auth: { keep: 1y }", "auth: { keep: 60d }").replace(
  "account: { keep: 200d, atLeast: 120d }",
  "account: { keep: 10d }",
);
const CHANGE_DAY = 280;
const DAYS = 1000;
/** Days on which somebody looks. */
const STEP = 7;

const TYPES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  auth: { type: "auth.login", outcome: "success" },
  session: { type: "session.start", session: { id: "ab".repeat(32) } },
  access: { type: "access.read", outcome: "success", targets: [{ type: "invoice", id: "i1" }] },
  account: { type: "account.create", outcome: "success" },
  shop: { type: "shop.order", outcome: "success" },
};

/** The rules once more, by hand: the last day at whose end an entry of a class is still there, counted from `day`. */
function lastDay(retentionClass: string, day: number, today: number): number {
  const isShorter = today >= CHANGE_DAY;
  const keep: Readonly<Record<string, number>> = {
    auth: isShorter ? 60 : 365,
    session: 90,
    access: 730,
    // Whatever was logged before the change was promised 120 days.
    account: isShorter ? (day < CHANGE_DAY ? 120 : 10) : 200,
    shop: 30,
  };
  return day + (keep[retentionClass] ?? 0);
}

interface Logged {
  readonly class: string;
  readonly day: number;
  readonly index: number;
}

/** Most days see one class, some see all of them. */
function classesOf(day: number): string[] {
  return Object.keys(TYPES).filter((_, at) => day % 5 === at || day % 40 === 0);
}

async function passDay(site: Site, day: number, logged: Logged[]): Promise<void> {
  site.clock.nowMs = (FIRST_DAY + day) * DAY_MS + 1000;
  const log = await site.open({ confirmClock: true, proposedRules: async () => (day < CHANGE_DAY ? RULES : SHORTER) });
  await until(() => log.status().state !== "starting");
  if (day === CHANGE_DAY) await log.disposition.applyRules({ text: SHORTER, by: "officer-1" });
  for (const retentionClass of classesOf(day)) {
    const n = logged.length;
    const fields = { ...TYPES[retentionClass], tenant: TENANTS[n % 3], actor: { type: "user", id: `u${n % 7}` } };
    const sent = event(n, { ...fields, time: site.clock.nowMs });
    const [answer] = await log.appendEvents({ writer: "app", events: [sent] });
    logged.push({ class: retentionClass, day, index: answer?.index ?? -1 });
  }
  await log.disposition.runRetention();
  const there = new Set<string>();
  for await (const classDay of log.disposition.classDays()) {
    if (classDay.class in TYPES) there.add(`${classDay.class} ${classDay.day - FIRST_DAY}`);
  }
  const expected = logged.filter((entry) => lastDay(entry.class, entry.day, day) >= day);
  expect(there).toEqual(new Set(expected.map((entry) => `${entry.class} ${entry.day}`)));
  // To read all of them takes long: a few times in these years.
  const looked = day % (25 * STEP) === 0 ? logged : [];
  const opening = await Promise.all(looked.map(async ({ index }) => opens(log, index)));
  expect(looked.filter((_, at) => opening[at] === true)).toEqual(looked.filter((entry) => expected.includes(entry)));
  await log.close();
}

test(`over ${DAYS} days each entry is there as long as the rules say, and no day longer`, async () => {
  const site = await createSite();
  const logged: Logged[] = [];
  for (let day = 0; day < DAYS; day += STEP) await passDay(site, day, logged);
  expect(logged.length).toBeGreaterThan(150);
  await expectWhole(site);
}, 120_000);
