/** Who may do what: every route for everybody who can ask, about their own and about others. The table is written by hand. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ROLES, type Role, Tokens, createToken } from "../src/index.ts";
import { OWN_PATHS } from "../src/own-routes.ts";
import type { Route } from "../src/route.ts";
import { LOG_ROUTES } from "../src/routing.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { LOG, TestServer, login } from "./test-server.ts";

/** The columns. A reader is one of a subject, or one of a tenant; `elsewhere` is every role of another log in turn. */
const ASKERS = ["nobody", "writer", "subject", "tenant", "auditor", "operator", "officer", "elsewhere"] as const;
type Asker = (typeof ASKERS)[number];
const ROLE_OF: Readonly<Record<Exclude<Asker, "nobody" | "elsewhere">, Role>> = {
  writer: "writer",
  subject: "reader",
  tenant: "reader",
  auditor: "auditor",
  operator: "operator",
  officer: "officer",
};

/** What is asked for: something of the reader's own, or of another person and tenant. */
type About = "own" | "others";

/**
 * Of each route the answers, in the order of the columns: a status; or, where contents are given, whose: `own`, `others`, `both`.
 * Where own and others' differ, there are two rows.
 */
// oxfmt-ignore
const MATRIX: Readonly<Record<string, string | Readonly<Record<About, string>>>> = {
  //                                       nobody writer subject tenant auditor operator officer elsewhere
  "GET checkpoint":                         "200    200    200     200    200     200      200     200",
  "GET tile/{tile}":                        "200    200    200     200    200     200      200     200",
  "GET tile/entries/{bundle}":              "401    403    403     403    200     403      403     403",
  "POST v1/events":                         "401    201    403     403    403     403      403     403",
  "GET v1/events/{index}": {
    own:                                     "401    403    own     own    own     403      403     403",
    others:                                  "401    403    403     403    others  403      403     403",
  },
  "GET v1/openings": {
    own:                                     "401    403    own     own    both    403      403     403",
    others:                                  "401    403    403     403    others  403      403     403",
  },
  "GET v1/receipts/{index}":                "401    200    403     403    200     403      403     403",
  "GET v1/proofs/inclusion":                "200    200    200     200    200     200      200     200",
  "GET v1/proofs/consistency":              "200    200    200     200    200     200      200     200",
  "GET v1/checkpoints":                     "200    200    200     200    200     200      200     200",
  "GET v1/tail":                            "401    403    own     own    both    403      403     403",
  "GET v1/status":                          "401    403    403     403    200     200      403     403",
  "GET v1/policy":                          "200    200    200     200    200     200      200     200",
  "POST v1/erasures":                       "401    403    403     403    403     403      202     403",
  "GET v1/erasures":                        "401    403    403     403    200     403      200     403",
  "GET v1/erasures/{request}":              "401    403    403     403    200     403      200     403",
  "GET v1/erasures/{request}/certificate":  "401    403    403     403    200     403      200     403",
  "POST v1/holds":                          "401    403    403     403    403     403      201     403",
  "GET v1/holds":                           "401    403    403     403    200     403      200     403",
  "POST v1/holds/{id}/lift":                "401    403    403     403    403     403      200     403",
  "GET v1/retention":                       "401    403    403     403    200     200      200     403",
  "POST v1/retention/run":                  "401    403    403     403    403     200      200     403",
  "GET v1/rules":                           "401    403    403     403    200     200      200     403",
  "GET v1/rules/{digest}":                  "401    403    403     403    200     200      200     403",
  "POST v1/rules":                          "401    403    403     403    403     403      201     403",
  "POST v1/approvals":                      "401    403    403     403    403     403      201     403",
  "POST v1/subjects/export": {
    own:                                     "401    403    own     403    403     403      own     403",
    others:                                  "401    403    403     403    403     403      others  403",
  },
};

/** Of the server itself. Those of another log are of this server too. */
// oxfmt-ignore
const OWN_MATRIX: Readonly<Record<string, string>> = {
  //                nobody writer subject tenant auditor operator officer
  "/healthz":        "200    200    200     200    200     200      200",
  "/readyz":         "200    200    200     200    200     200      200",
  "/metrics":        "401    403    403     403    403     200      403",
  "/openapi.json":   "200    200    200     200    200     200      200",
};

const CANARIES = { own: "canary-of-mine", others: "canary-of-another" } as const;
const LAST = "canary-at-last";
const PERSONS = { own: { subject: "u_81", tenant: "acme" }, others: { subject: "u_82", tenant: "umbrella" } } as const;

interface Place {
  readonly server: TestServer;
  /** Of each asker the tokens: one, several or, of nobody, none. */
  readonly tokens: Readonly<Record<Asker, readonly (string | undefined)[]>>;
  /** Their ids, as the log knows them. */
  readonly ids: ReadonlyMap<string, string>;
  /** An officer who is none of the askers. */
  readonly colleague: string;
  readonly indexes: Readonly<Record<About, number>>;
}

async function place(rules: string): Promise<Place> {
  const path = join(temporaryFolder(), "tokens.json");
  const ids = new Map<string, string>();
  const make = async (role: Role, { log = LOG, tenant = false } = {}): Promise<string> => {
    const { subject, tenant: own } = PERSONS.own;
    const scope = role !== "reader" ? {} : tenant ? { tenant: own } : { subject };
    const { token, id } = await createToken(path, { log, role, ...scope });
    ids.set(token, id);
    return token;
  };
  const elsewhere: string[] = [];
  for (const role of ROLES) elsewhere.push(await make(role, { log: "another" }));
  const tokens = {
    nobody: [undefined],
    writer: [await make("writer")],
    subject: [await make("reader")],
    tenant: [await make("reader", { tenant: true })],
    auditor: [await make("auditor")],
    operator: [await make("operator")],
    officer: [await make("officer")],
    elsewhere,
  };
  const colleague = await make("officer");
  const server = await TestServer.start({
    witnesses: 0,
    moreTokens: await Tokens.read(path),
    log: { proposedRules: async () => rules },
  });
  const events = [eventOf("own", CANARIES.own), eventOf("others", CANARIES.others), eventOf("own", LAST)];
  const logged = await server.post(events, "?wait=published");
  const [own, others] = logged.json<readonly { readonly index: number }[]>().map(({ index }) => index);
  return { server, tokens, ids, colleague, indexes: { own: own ?? -1, others: others ?? -1 } };
}

function eventOf(about: About, canary: string): Record<string, unknown> {
  const { subject, tenant } = PERSONS[about];
  return { ...login(), actor: { type: "user", id: subject }, tenant, context: { canary } };
}

interface Question {
  readonly path: string;
  readonly body?: unknown;
}

/** A request to each route that this log can answer; each time another one where asking twice would differ. */
const QUESTIONS: Readonly<Record<string, (at: Place, about: About) => Promise<Question> | Question>> = {
  "GET tile/{tile}": ({ server }) => ({ path: `tile/0/000.p/${server.log.publishedSize()}` }),
  "GET tile/entries/{bundle}": ({ server }) => ({ path: `tile/entries/000.p/${server.log.publishedSize()}` }),
  "POST v1/events": (_, about) => ({ path: "v1/events", body: eventOf(about, "of no matter") }),
  "GET v1/events/{index}": ({ indexes }, about) => ({ path: `v1/events/${indexes[about]}` }),
  // Of the reader's own together with all that stands behind it; of others alone.
  "GET v1/openings": ({ indexes }, about) => ({
    path: `v1/openings?from=${indexes[about]}&limit=${about === "own" ? 3 : 1}`,
  }),
  "GET v1/receipts/{index}": ({ indexes }, about) => ({ path: `v1/receipts/${indexes[about]}` }),
  "GET v1/proofs/inclusion": ({ indexes }, about) => ({ path: `v1/proofs/inclusion?index=${indexes[about]}` }),
  "GET v1/proofs/consistency": () => ({ path: "v1/proofs/consistency?from=1&to=2" }),
  "GET v1/tail": () => ({ path: "v1/tail?from=0" }),
  "POST v1/erasures": async ({ server }) => ({
    path: "v1/erasures",
    body: { subject: await somebody(server), ground: "g" },
  }),
  "GET v1/erasures/{request}": async ({ server }) => ({ path: `v1/erasures/${await erasure(server)}` }),
  "GET v1/erasures/{request}/certificate": async ({ server }) => ({
    path: `v1/erasures/${await erasure(server)}/certificate`,
  }),
  "POST v1/holds": () => ({ path: "v1/holds", body: { case: "c", class: "auth" } }),
  "POST v1/holds/{id}/lift": async ({ server: { log } }) => {
    const { id } = await log.disposition.setHold({ by: "o", case: "c", selectors: { class: "auth" } });
    return { path: `v1/holds/${id}/lift`, body: {} };
  },
  "POST v1/retention/run": () => ({ path: "v1/retention/run", body: {} }),
  "GET v1/rules/{digest}": ({ server }) => ({ path: `v1/rules/${server.log.disposition.rules().digest}` }),
  "POST v1/rules": () => ({ path: "v1/rules", body: { text: "version: 1\n" } }),
  "POST v1/approvals": async (at) => ({ path: "v1/approvals", body: { approval: await ticket(at) } }),
  "POST v1/subjects/export": (_, about) => ({ path: "v1/subjects/export", body: { subject: PERSONS[about].subject } }),
};

let persons = 0;

/** A person about whom there is something. */
async function somebody(server: TestServer): Promise<string> {
  const id = `person-${(persons += 1)}`;
  await server.post({ ...login(), actor: { type: "user", id } });
  return id;
}

/** The request of the one that there is. */
async function erasure(server: TestServer): Promise<string> {
  const { disposition } = server.log;
  const [known] = await disposition.destructions();
  if (known !== undefined) return known.request;
  const { request } = await disposition.erase({ subject: await somebody(server), ground: "g", by: "o" });
  return (await disposition.waitForDestruction(request, 20_000)).request;
}

/** For a hold, from an officer who is none of the askers. */
async function ticket({ server, colleague }: Place): Promise<string> {
  const reply = await server.ask(`/${LOG}/v1/holds`, {
    method: "POST",
    type: "application/json",
    body: JSON.stringify({ case: "c", class: "auth" }),
    headers: { authorization: `Bearer ${colleague}` },
  });
  return reply.json<{ approval: string }>().approval;
}

interface Seen {
  readonly status: number;
  readonly text: string;
}

async function ask(server: TestServer, method: string, { path, body }: Question, token?: string): Promise<Seen> {
  const response = await server.open(path, {
    method,
    ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
    ...(body === undefined ? {} : { body: JSON.stringify(body), type: "application/json" }),
  });
  return { status: response.status, text: await textOf(response) };
}

/** All of it; of a stream until the last entry that is there, which is everybody's who may follow at all. */
async function textOf(response: Response): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const part of response.body ?? []) {
    text += decoder.decode(part as Uint8Array, { stream: true });
    if (text.includes(LAST) && response.headers.get("content-type") === "text/event-stream") break;
  }
  return text;
}

/** A cell of the table, as it was found. */
function outcomeOf({ status, text: told }: Seen): string {
  const openings = [...told.matchAll(/"opening":"([^"]*)"/g)].map(([, base64 = ""]) => Buffer.from(base64, "base64"));
  const text = `${told}${Buffer.concat(openings).toString("latin1")}`;
  const [own, others] = [text.includes(CANARIES.own), text.includes(CANARIES.others)];
  if (!own && !others) return String(status);
  if (status !== 200) return `${status} with contents`;
  return own && others ? "both" : own ? "own" : "others";
}

const cells = (row: string): readonly string[] => row.split(/ +/);

test("every route is in the table and every role has a column; nothing else is there", () => {
  expect(LOG_ROUTES.map(nameOf).toSorted()).toEqual(Object.keys(MATRIX).toSorted());
  expect(Object.keys(OWN_MATRIX)).toEqual(OWN_PATHS);
  expect([...new Set(Object.values(ROLE_OF))].toSorted()).toEqual([...ROLES].toSorted());
  for (const row of Object.values(MATRIX).flatMap((rows) => (typeof rows === "string" ? [rows] : Object.values(rows))))
    expect([row, cells(row).length]).toEqual([row, ASKERS.length]);
});

function nameOf({ method, path }: Pick<Route, "method" | "path">): string {
  return `${method} ${path}`;
}

describe("every cell of the table holds", () => {
  test.each(LOG_ROUTES.map((route) => [nameOf(route), route] as const))("%s", async (name, route) => {
    const at = await place(`version: 1\n${name === "POST v1/approvals" ? "twoPersons: [hold]\n" : ""}`);
    const { server, tokens, ids } = at;
    const denied = new Set<string>();
    const given = new Set<string>();
    for (const about of ["own", "others"] as const) {
      const row = MATRIX[name] ?? "";
      const expected = cells(typeof row === "string" ? row : row[about]);
      for (const [column, asker] of ASKERS.entries()) {
        for (const token of tokens[asker]) {
          const question = (await QUESTIONS[name]?.(at, about)) ?? { path: route.path };
          const seen = await ask(server, route.method, { ...question, path: `/${LOG}/${question.path}` }, token);
          expect([about, asker, outcomeOf(seen)]).toEqual([about, asker, expected[column]]);
          if (seen.status >= 400) expectProblem(seen);
          const id = token === undefined ? undefined : ids.get(token);
          if (id !== undefined && seen.status === 403) denied.add(id);
          if (id !== undefined && seen.status === 200) given.add(id);
        }
      }
    }
    const recorded = await recordedReads(server);
    const wanted = { denied: [...denied].toSorted(), given: [...given].toSorted() };
    // Others may read what the log says of itself, which is recorded too; what is denied there is no denied contents.
    expect(recorded).toEqual(route.contents === undefined ? { ...recorded, denied: [] } : wanted);
  });

  test.each(Object.keys(OWN_MATRIX))("%s", async (path) => {
    const { server, tokens } = await place("version: 1\n");
    for (const [column, asker] of ASKERS.slice(0, -1).entries()) {
      for (const token of tokens[asker]) {
        const outcome = outcomeOf(await ask(server, "GET", { path }, token));
        expect([asker, outcome]).toEqual([asker, cells(OWN_MATRIX[path] ?? "")[column]]);
      }
    }
  });
});

function expectProblem({ status, text }: Seen): void {
  const codes: Readonly<Record<number, string>> = { 401: "unauthenticated", 403: "forbidden" };
  expect((JSON.parse(text) as { code: string }).code).toBe(codes[status]);
}

/** Who, by the log's own word, read contents, and who was denied them. */
async function recordedReads({ log }: TestServer): Promise<Record<"denied" | "given", readonly string[]>> {
  const found = { denied: new Set<string>(), given: new Set<string>() };
  for (let index = 0, size = log.size(); index < size; index += 1) {
    const read = await log.readEvent({ index, reader: "who looks" }).catch(() => undefined);
    const { type, actor, outcome } = read?.event ?? {};
    if (actor === undefined || actor.id === "who looks" || (type !== "log.read" && type !== "log.export")) continue;
    found[outcome === "denied" ? "denied" : "given"].add(actor.id);
  }
  return { denied: [...found.denied].toSorted(), given: [...found.given].toSorted() };
}
