/** What rules ask two persons for, over HTTP: nothing is done before the second agrees, and once only. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { type CreatedToken, Tokens, createToken } from "../src/index.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { LOG, type Reply, TestServer, login } from "./test-server.ts";

const DAY_MS = 86_400_000;
const SUBJECT = "canary-anna";
const ALL = "version: 1\ntwoPersons: [erasure, hold, rules]\n";

interface Place {
  readonly server: TestServer;
  readonly first: CreatedToken;
  readonly second: CreatedToken;
  readonly clock: { aheadMs: number };
  /** Ids of tokens that are worth nothing any more. */
  readonly revoked: Set<string>;
  post(path: string, value: unknown, by: CreatedToken): Promise<Reply>;
  get(path: string): Promise<Reply>;
}

async function place(rules: string = ALL): Promise<Place> {
  const path = join(temporaryFolder(), "tokens.json");
  const officer = async (): Promise<CreatedToken> => createToken(path, { log: LOG, role: "officer" });
  const [first, second] = [await officer(), await officer()];
  const clock = { aheadMs: 0 };
  const revoked = new Set<string>();
  const tokens = await Tokens.read(path);
  const server = await TestServer.start({
    witnesses: 0,
    moreTokens: {
      find: (token) => tokens.find(token),
      valid: (log) => tokens.valid(log).filter(({ id }) => !revoked.has(id)),
    },
    now: () => Date.now() + clock.aheadMs,
    log: { proposedRules: async () => rules },
  });
  await server.post({ ...login(), actor: { type: "user", id: SUBJECT } });
  const headersOf = ({ token }: CreatedToken) => ({ authorization: `Bearer ${token}` });
  return {
    server,
    first,
    second,
    clock,
    revoked,
    post: async (route, value, by) =>
      server.ask(`/${LOG}/v1/${route}`, {
        method: "POST",
        type: "application/json",
        body: JSON.stringify(value),
        headers: headersOf(by),
      }),
    get: async (route) => server.ask(`/${LOG}/v1/${route}`, { headers: headersOf(first) }),
  };
}

/** What the first officer is given for the second. */
async function ticketFor(at: Place, route: string, value: unknown): Promise<string> {
  const reply = await at.post(route, value, at.first);
  const { state, approval, validUntil } = reply.json<{ state: string; approval: string; validUntil: string }>();
  expect([reply.status, state]).toEqual([202, "awaiting-approval"]);
  expect(Date.parse(validUntil) - Date.now() - at.clock.aheadMs).toBeGreaterThan(7 * DAY_MS - 60_000);
  return approval;
}

const erasuresOf = async (at: Place): Promise<unknown[]> =>
  (await at.get("erasures")).json<{ erasures: unknown[] }>().erasures;
const holdsOf = async (at: Place): Promise<{ setBy: string }[]> =>
  (await at.get("holds?lifted=true")).json<{ holds: { setBy: string }[] }>().holds;

test("an erasure is done when a second officer agrees, in the name of both", async () => {
  const at = await place();
  const approval = await ticketFor(at, "erasures", { subject: SUBJECT, ground: "a request" });
  expect(await erasuresOf(at)).toEqual([]);
  const preview = await at.post("approvals", { approval, preview: true }, at.second);
  expect(preview.json()).toMatchObject({ action: "erasure", by: at.first.id, input: { subject: SUBJECT } });
  expect(await erasuresOf(at)).toEqual([]);
  const approved = await at.post("approvals", { approval }, at.second);
  expect([200, 202]).toContain(approved.status);
  const { ordered } = approved.json<{ ordered: number[] }>();
  const { event } = await at.server.log.readEvent({ index: ordered[0] ?? -1, reader: "who looks" });
  expect(event).toMatchObject({ type: "log.erasure", context: { by: at.first.id, approvedBy: at.second.id } });
  expect(JSON.stringify(event)).not.toContain(SUBJECT);
});

test("the one who asked cannot approve, and nothing is done", async () => {
  const at = await place();
  const approval = await ticketFor(at, "erasures", { subject: SUBJECT, ground: "a request" });
  const reply = await at.post("approvals", { approval }, at.first);
  expect([reply.status, reply.json()["code"]]).toEqual([403, "approval-by-same-person"]);
  expect(await erasuresOf(at)).toEqual([]);
});

test("a ticket that is posted again does nothing again", async () => {
  const at = await place();
  const approve = async (approval: string): Promise<Reply> => at.post("approvals", { approval }, at.second);
  const erasure = await ticketFor(at, "erasures", { subject: SUBJECT, ground: "a request" });
  const hold = await ticketFor(at, "holds", { case: "c-1", class: "auth" });
  for (let n = 0; n < 3; n += 1) expect((await approve(erasure)).status).toBeLessThan(300);
  expect(await erasuresOf(at)).toHaveLength(1);
  const { id } = (await approve(hold)).json<{ id: string }>();
  const lift = await ticketFor(at, `holds/${id}/lift`, {});
  for (let n = 0; n < 3; n += 1) expect((await approve(lift)).status).toBe(200);
  // The hold that was lifted does not come back by the ticket that set it.
  expect((await approve(hold)).json()).toMatchObject({ id, liftedBy: at.first.id });
  expect(await holdsOf(at)).toHaveLength(1);
  expect((await at.get("holds")).json()).toEqual({ holds: [] });
});

test("other rules need two persons as the present ones say; a ticket for them is good while these hold, and once", async () => {
  const at = await place();
  const approve = async (approval: string): Promise<Reply> => at.post("approvals", { approval }, at.second);
  const [keep30, keep60] = [30, 60].map((days) => `${ALL}other: { keep: ${days}d }\n`);
  const [to30, to60] = [await ticketFor(at, "rules", { text: keep30 }), await ticketFor(at, "rules", { text: keep60 })];
  expect((await approve(to30)).status).toBe(201);
  const refused = await approve(to60);
  expect([refused.status, refused.json()["code"]]).toEqual([409, "approval-outdated"]);
  // Back to what held at first: the ticket of then is used, and brings nothing back.
  expect((await approve(await ticketFor(at, "rules", { text: ALL }))).status).toBe(201);
  expect((await approve(to30)).status).toBe(409);
  expect((await at.get("rules")).json()["text"]).toBe(ALL);
});

test("a ticket ends after seven days", async () => {
  const at = await place();
  const approval = await ticketFor(at, "erasures", { subject: SUBJECT, ground: "a request" });
  at.clock.aheadMs = 7 * DAY_MS + 1000;
  const reply = await at.post("approvals", { approval }, at.second);
  expect([reply.status, reply.json()["code"]]).toEqual([422, "approval-invalid"]);
});

test("a ticket is void once the token of the one who asked is taken back", async () => {
  const at = await place();
  const approval = await ticketFor(at, "erasures", { subject: SUBJECT, ground: "a request" });
  at.revoked.add(at.first.id);
  const reply = await at.post("approvals", { approval }, at.second);
  expect([reply.status, reply.json()["code"]]).toEqual([422, "approval-invalid"]);
});

test("what the rules do not name needs one person", async () => {
  const at = await place("version: 1\ntwoPersons: [erasure]\n");
  expect((await at.post("holds", { case: "c-1", class: "auth" }, at.first)).status).toBe(201);
  await ticketFor(at, "erasures", { subject: SUBJECT, ground: "a request" });
  expect(await holdsOf(at)).toMatchObject([{ setBy: at.first.id }]);
});

test("a ticket holds no subject that could be read, and no warning or refusal names one", async () => {
  const at = await place();
  const approval = await ticketFor(at, "erasures", { subject: SUBJECT, ground: "a request" });
  expect(Buffer.from(approval.slice(4), "base64url").toString("latin1")).not.toContain("canary");
  const refused = await at.post("approvals", { approval }, at.first);
  expect(refused.text + at.server.warnings.join()).not.toContain("canary");
});
