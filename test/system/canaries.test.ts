/** A served log, in a process of its own, that is told personal things in every way there is: none of them comes out again. */
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { createToken, initServer, layoutOf } from "@tallystick/server";
import { expect, onTestFinished, test } from "vitest";
import { newEventId } from "@tallystick/events";
import { randomBytes } from "node:crypto";
import { exitOf, startCommand } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const CANARY = "canary-7f3a";

interface Served {
  readonly url: string;
  /** All that the process wrote. */
  readonly printed: () => string;
  stop(): Promise<void>;
}

async function serve(dir: string): Promise<Served> {
  const child = startCommand(dir, ["serve", "--dir", dir, "--listen", "127.0.0.1:0"]);
  let printed = "";
  child.stdout?.on("data", (part: Buffer) => (printed += part.toString()));
  child.stderr?.on("data", (part: Buffer) => (printed += part.toString()));
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await exitOf(child);
  };
  onTestFinished(stop);
  for (;;) {
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(printed)?.[0];
    if (url !== undefined && (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200)
      return { url, printed: () => printed, stop };
    if (child.exitCode !== null) throw new Error(`serve ended: ${printed}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function login(fields: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    id: newEventId(Date.now(), new Uint8Array(randomBytes(16))),
    time: new Date().toISOString(),
    type: "auth.login",
    outcome: "success",
    actor: { type: "user", id: `${CANARY}-actor` },
    subject: { id: `${CANARY}-subject` },
    session: { id: `${CANARY}-session` },
    tenant: `${CANARY}-tenant`,
    source: { ip: "203.0.113.7", userAgent: `${CANARY}-agent` },
    reason: `${CANARY}-reason`,
    context: { note: `${CANARY}-context` },
    ...fields,
  };
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path) : [path];
  });
}

test("what is reported, asked for, erased and mistyped stands in no file, no line that is printed, no metric and no error", async () => {
  const dir = temporaryFolder();
  const made = await initServer({ dir, name: "app", origin: "log.example/app", port: 0 });
  const { tokens } = layoutOf(dir);
  const { token: reader } = await createToken(tokens, { log: "app", role: "reader", subject: `${CANARY}-subject` });
  const served = await serve(dir);
  const problems: string[] = [];
  const ask = async (path: string, token: string, body?: unknown, type = "application/json"): Promise<number> => {
    const reply = await fetch(`${served.url}/app/${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": type },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await reply.text();
    if (reply.status >= 400) problems.push(text);
    return reply.status;
  };
  const { writer, auditor, operator, officer } = made.tokens;
  expect(await ask("v1/events", writer, [login(), login()])).toBe(201);
  // Wrong in every way that quotes something.
  const twice = login();
  await ask("v1/events", writer, twice);
  const wrong: unknown[] = [
    { ...twice, reason: `${CANARY}-other` },
    login({ actor: { type: "user", id: `${CANARY}${"x".repeat(300)}` } }),
    login({ actor: { type: `${CANARY} two words`, id: "u1" } }),
    login({ subject: CANARY }),
    login({ tenant: `${CANARY}\nsecond line` }),
    login({ session: { id: `${CANARY}${"x".repeat(5000)}` } }),
    login({ source: { ip: CANARY } }),
    login({ targets: CANARY }),
    login({ operation: { id: CANARY } }),
    login({ context: { password: CANARY } }),
    login({ context: { note: 0.5, other: CANARY } }),
    `{"${CANARY}": `,
    `{"a": 1, "a": "${CANARY}"}`,
  ];
  for (const body of wrong) expect(await ask("v1/events", writer, body)).toBeGreaterThanOrEqual(400);
  await ask("v1/events/0", auditor);
  await ask(`v1/events/0?purpose=${CANARY}-purpose`, auditor);
  await ask("v1/events/0", reader);
  await ask("v1/events/0", `${CANARY}-token`);
  await ask("v1/subjects/export", reader, { subject: `${CANARY}-somebody-else` });
  await ask("v1/subjects/export", officer, { subject: `${CANARY}-nobody` });
  await ask("v1/holds", officer, { case: "c-1", subject: `${CANARY}-subject` });
  await ask("v1/erasures", officer, { subject: `${CANARY}-subject`, ground: "asked" });
  await ask("v1/erasures", officer, { subject: `${CANARY}-actor`, ground: "two\nlines" });
  const metrics = await (
    await fetch(`${served.url}/metrics`, { headers: { authorization: `Bearer ${operator}` } })
  ).text();
  expect(metrics).toContain("tallystick_");
  await served.stop();
  const seen = [metrics, served.printed(), ...problems].join("\n");
  expect(seen).not.toContain(CANARY);
  const where = filesBelow(dir).filter((path) => {
    const bytes = readFileSync(path);
    return bytes.includes(CANARY) || bytes.includes(Buffer.from(CANARY).toString("hex"));
  });
  expect(where).toEqual([]);
});
