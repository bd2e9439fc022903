import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { describeWithVectors, readVectorText } from "../../../../test/support/vectors.ts";
import {
  type ImportedLine,
  type TallyEvent,
  UNREADABLE_TYPE,
  createOpenSshImport,
  inferFirstYear,
} from "../../src/index.ts";
import { OPENSSH_TYPES } from "../../src/imports/openssh-messages.ts";

const options = { source: "auth.log", year: 2017 };

function importAll(lines: readonly string[]): (ImportedLine | undefined)[] {
  return lines.map(createOpenSshImport(options));
}

function importLine(line: string): ImportedLine {
  const [imported] = importAll([line]);
  if (imported === undefined) throw new Error("expected an event");
  return imported;
}

function importMessage(message: string): TallyEvent {
  const { event, unreadable } = importLine(`Dec 10 06:55:46 host sshd[7]: ${message}`);
  expect(unreadable).toBeUndefined();
  return event;
}

/** What an event says of who, how and outcome, in a line. */
function summary({ type, outcome, actor, subject, source, auth, reason }: TallyEvent): string {
  const who = [actor, subject].map((party) => (party === undefined ? "-" : `${party.type}:${party.id}`));
  return [type, outcome, ...who, source?.ip ?? "-", auth?.method ?? "-", reason ?? "-"].join(" | ");
}

describe("createOpenSshImport", () => {
  test("maps an accepted login", () => {
    const { event } = importLine(
      "Dec 10 09:32:20 LabSZ sshd[24680]: Accepted password for ann from 192.0.2.7 port 49116 ssh2",
    );
    expect(event).toEqual({
      id: event.id,
      time: Date.UTC(2017, 11, 10, 9, 32, 20),
      type: "auth.login",
      outcome: "success",
      actor: { type: "user", id: "ann" },
      source: { ip: "192.0.2.7" },
      auth: { method: "password" },
      context: {
        file: "auth.log",
        line: 1,
        host: "LabSZ",
        process: "sshd",
        pid: 24680,
        port: 49116,
        protocol: "ssh2",
        message: "Accepted password for ann from 192.0.2.7 port 49116 ssh2",
      },
    });
  });

  test.each([
    [
      "Accepted publickey for ann from 192.0.2.7 port 22 ssh2: ED25519 SHA256:abc",
      "auth.login | success | user:ann | - | 192.0.2.7 | publickey | -",
    ],
    [
      "Accepted keyboard-interactive/pam for ann from 2001:db8::7 port 22 ssh2",
      "auth.login | success | user:ann | - | 2001:db8::7 | keyboard-interactive/pam | -",
    ],
    [
      "Failed password for root from 192.0.2.7 port 22 ssh2",
      "auth.login | failure | unverified:root | user:root | 192.0.2.7 | password | -",
    ],
    [
      "Failed password for invalid user x from 192.0.2.7 port 22 ssh2",
      "auth.login | failure | unverified:x | - | 192.0.2.7 | password | invalid user",
    ],
    [
      "Failed publickey for ann from 192.0.2.7 port 22 ssh2: RSA SHA256:abc",
      "auth.login | failure | unverified:ann | user:ann | 192.0.2.7 | publickey | -",
    ],
    [
      "Failed none for invalid user 0 from 192.0.2.7 port 22 ssh2",
      "auth.login | failure | unverified:0 | - | 192.0.2.7 | none | invalid user",
    ],
    [
      "Invalid user x from 192.0.2.7 port 22",
      "ssh.user.invalid | failure | unverified:x | - | 192.0.2.7 | - | invalid user",
    ],
    [
      "Invalid user  from 192.0.2.7",
      "ssh.user.invalid | failure | anonymous:192.0.2.7 | - | 192.0.2.7 | - | invalid user",
    ],
    [
      "User ann from 192.0.2.7 not allowed because not listed in AllowUsers",
      "ssh.user.denied | denied | unverified:ann | user:ann | 192.0.2.7 | - | not listed in AllowUsers",
    ],
    [
      "error: maximum authentication attempts exceeded for root from 192.0.2.7 port 22 ssh2 [preauth]",
      "ssh.user.denied | denied | unverified:root | user:root | 192.0.2.7 | - | maximum authentication attempts exceeded",
    ],
    [
      "error: PAM: Authentication failure for illegal user x from 192.0.2.7",
      "ssh.pam.failure | failure | unverified:x | - | 192.0.2.7 | - | Authentication failure",
    ],
    [
      "pam_unix(sshd:session): session opened for user ann(uid=1000) by (uid=0)",
      "ssh.session.open | success | user:ann | - | - | - | -",
    ],
    ["pam_unix(sshd:session): session closed for user ann", "auth.logout | success | user:ann | - | - | - | -"],
    [
      "Connection closed by authenticating user root 192.0.2.7 port 22 [preauth]",
      "ssh.disconnect | success | unverified:root | user:root | 192.0.2.7 | - | closed",
    ],
    [
      "Connection reset by invalid user a b 192.0.2.7 port 22 [preauth]",
      "ssh.disconnect | success | unverified:a b | - | 192.0.2.7 | - | reset",
    ],
    [
      "Connection closed by 192.0.2.7 port 22",
      "ssh.disconnect | success | anonymous:192.0.2.7 | - | 192.0.2.7 | - | closed",
    ],
    ["Disconnected from user ann 192.0.2.7 port 22", "ssh.disconnect | success | user:ann | - | 192.0.2.7 | - | -"],
    [
      "Received disconnect from 192.0.2.7 port 22:11: disconnected by user",
      "ssh.disconnect | success | anonymous:192.0.2.7 | - | 192.0.2.7 | - | disconnected by user",
    ],
    [
      "Received disconnect from 2001:db8::7: 11: Bye Bye [preauth]",
      "ssh.disconnect | success | anonymous:2001:db8::7 | - | 2001:db8::7 | - | Bye Bye",
    ],
    [
      "Disconnecting authenticating user root 192.0.2.7 port 22: Too many authentication failures [preauth]",
      "ssh.disconnect | denied | unverified:root | user:root | 192.0.2.7 | - | Too many authentication failures",
    ],
    [
      "Unable to negotiate with 192.0.2.7 port 22: no matching cipher found. [preauth]",
      "ssh.connection.failed | failure | anonymous:192.0.2.7 | - | 192.0.2.7 | - | no matching cipher found.",
    ],
    [
      "Bad protocol version identification 'GET / HTTP/1.1' from 192.0.2.7 port 22",
      "ssh.connection.unidentified | failure | anonymous:192.0.2.7 | - | 192.0.2.7 | - | Bad protocol version identification",
    ],
    ["Server listening on 0.0.0.0 port 22.", "ssh.server.start | success | - | - | - | - | -"],
    ["Received signal 15; terminating.", "ssh.server.stop | success | - | - | - | - | -"],
  ])("maps %s", (message, expected) => {
    expect(summary(importMessage(message))).toBe(expected);
  });

  test("does not take an address out of a name that a client chose", () => {
    const event = importMessage(
      "Failed password for invalid user x from 10.0.0.1 port 1 ssh2 from 192.0.2.7 port 22 ssh2",
    );
    expect([event.actor?.id, event.source?.ip]).toEqual(["x from 10.0.0.1 port 1 ssh2", "192.0.2.7"]);
    const invalid = importMessage("Invalid user x from 10.0.0.1 from 192.0.2.7 port 22");
    expect([invalid.actor?.id, invalid.source?.ip]).toEqual(["x from 10.0.0.1", "192.0.2.7"]);
  });

  test("keeps a name's spaces, writes control characters as escapes and cuts what is long", () => {
    expect(importMessage("Failed password for invalid user  0101 from 192.0.2.7 port 22 ssh2").actor?.id).toBe(" 0101");
    expect(importMessage("Invalid user a\u001b[2Jb\ud800 from 192.0.2.7").actor?.id).toBe("a\\u{1b}[2Jb\ufffd");
    expect(importMessage(`Invalid user ${"x".repeat(5000)} from 192.0.2.7`).actor?.id).toHaveLength(256);
  });

  test("keeps a peer that is no address in context", () => {
    const event = importMessage("Connection closed by UNKNOWN port 65535 [preauth]");
    expect(event).toMatchObject({
      actor: { type: "anonymous", id: "UNKNOWN" },
      context: { peer: "UNKNOWN", phase: "preauth" },
    });
    expect(event.source).toBeUndefined();
  });

  test("takes a repeated message for one event that says how often", () => {
    const event = importMessage("message repeated 5 times: [ Failed password for root from 192.0.2.7 port 22 ssh2]");
    expect(event).toMatchObject({ type: "auth.login", outcome: "failure", context: { repeated: 5, port: 22 } });
  });

  test("reads lines with RFC 3339 times and of the programs that newer servers split off", () => {
    const { event } = importLine(
      "2025-03-01T10:00:00.250+01:00 host sshd-session[7]: Connection closed by 192.0.2.7 port 22",
    );
    expect([event.time, event.type]).toEqual([Date.UTC(2025, 2, 1, 9, 0, 0, 250), "ssh.disconnect"]);
  });

  test("takes the server's zone into account", () => {
    const next = createOpenSshImport({ ...options, utcOffsetMinutes: 480 });
    expect(next("Dec 10 06:00:00 h sshd[7]: Server listening on :: port 22.")?.event.time).toBe(
      Date.UTC(2017, 11, 9, 22),
    );
  });

  test("goes on to the next year where time would run back, and lets late lines stay in the old one", () => {
    const at = (stamp: string): string => `${stamp} h sshd[7]: Server listening on :: port 22.`;
    const lines = [
      "Dec 30 10:00:00",
      "Jan  1 00:00:01",
      "Dec 31 23:59:59",
      "Jan  1 00:00:02",
      "Sep  1 00:00:00",
      "Feb 29 00:00:00",
    ];
    const years = importAll(lines.map(at)).map((line) => new Date(line?.event.time ?? 0).getUTCFullYear());
    expect(years).toEqual([2017, 2018, 2017, 2018, 2018, 2018]);
    expect(importAll(lines.map(at)).at(-1)?.unreadable).toBe("not a line of syslog");
  });

  test.each([
    ["nothing like it", "not a line of syslog"],
    ["Dec 40 06:55:46 h sshd[7]: Connection closed by 192.0.2.7", "not a line of syslog"],
    ["Dez 10 06:55:46 h sshd[7]: Connection closed by 192.0.2.7", "not a line of syslog"],
    ["Dec 10 06:55:46 h CRON[7]: session opened", "not a line of sshd"],
    ["Dec 10 06:55:46 h sshd[7]: something new", "no rule for this message of sshd"],
    ["Dec 10 06:55:46 h sshd[7]: ", "no rule for this message of sshd"],
    ["\u0000\ud800\n\n", "not a line of syslog"],
  ])("keeps %j as an event of its own", (line, reason) => {
    const { event, unreadable } = importLine(line);
    expect(unreadable).toBe(reason);
    expect(event).toMatchObject({
      type: UNREADABLE_TYPE,
      outcome: "unknown",
      reason,
      context: { file: "auth.log", line: 1 },
    });
    expect(event.context?.["raw"]).toBe(line.replace(/\n$/, "").toWellFormed());
  });

  test("gives what cannot be read the time of the line before", () => {
    const [first, second] = importAll(["Dec 10 06:55:46 h sshd[7]: x", "?"]);
    expect(second?.event.time).toBe(first?.event.time);
    expect(importLine("?").event.time).toBe(Date.UTC(2017, 0, 1));
  });

  test("cuts a line of any length", () => {
    const { event } = importLine("x".repeat(1_000_000));
    expect(event.context?.["raw"]).toHaveLength(8192);
  });

  test("skips blank lines but counts them", () => {
    const [blank, , after] = importAll(["", "\r", "x"]);
    expect(blank).toBeUndefined();
    expect(after?.event.context?.["line"]).toBe(3);
  });

  test("gives the same ids whatever ends a line, and other ids for equal lines", () => {
    const line = "Dec 10 06:55:46 h sshd[7]: Connection closed by 192.0.2.7 [preauth]";
    const ids = (lines: readonly string[]): unknown[] => importAll(lines).map((imported) => imported?.event.id);
    expect(ids([`${line}\r`, `${line}\n`])).toEqual(ids([line, `${line}\r\n`]));
    expect(new Set(ids([line, line])).size).toBe(2);
  });

  test.each([
    { year: 17 },
    { year: 2017.5 },
    { year: Number.NaN },
    { utcOffsetMinutes: 900 },
    { utcOffsetMinutes: 0.5 },
  ])("refuses %j", (wrong) => {
    expect(() => createOpenSshImport({ ...options, ...wrong })).toThrow(RangeError);
  });
});

describe("docs/reference/import-openssh.md", () => {
  const page = readFileSync(
    fileURLToPath(new URL("../../../../docs/reference/import-openssh.md", import.meta.url)),
    "utf8",
  );

  test("names every type that the rules give, and no other", () => {
    const printed = new Set(
      [...page.matchAll(/^\|.*\|$/gm)].flatMap(([row]) => row.match(/`(?:auth|ssh|import)\.[a-z_.]+`/g) ?? []),
    );
    expect([...printed].sort()).toEqual([...OPENSSH_TYPES, UNREADABLE_TYPE].map((type) => `\`${type}\``).sort());
  });
});

describe("inferFirstYear", () => {
  const at = (stamp: string): string => `${stamp} h sshd[7]: x`;

  test("is the latest one whose lines are all in the past", () => {
    const notAfterMs = Date.UTC(2024, 5, 1);
    expect(inferFirstYear([at("Dec 10 06:55:46")], { notAfterMs })).toBe(2023);
    expect(inferFirstYear([at("May 10 06:55:46")], { notAfterMs })).toBe(2024);
    expect(inferFirstYear([at("Jun  1 12:00:00")], { notAfterMs })).toBe(2024);
    expect(inferFirstYear([], { notAfterMs })).toBe(2024);
  });

  test("counts the turns of the year within the lines", () => {
    const lines = ["Nov  1 00:00:00", "Feb  1 00:00:00", "Dec  1 00:00:00", "Jan  1 00:00:00"].map(at);
    expect(inferFirstYear(lines, { notAfterMs: Date.UTC(2024, 5, 1) })).toBe(2022);
  });

  test("takes a leap year for February 29", () => {
    expect(inferFirstYear([at("Feb 29 00:00:00")], { notAfterMs: Date.UTC(2023, 5, 1) })).toBe(2020);
  });
});

describeWithVectors("the OpenSSH log of LogHub", () => {
  /** What each template of the log becomes. */
  const MAPPING: Readonly<Record<string, string>> = {
    E1: "auth.login success",
    E2: "ssh.disconnect success",
    E3: "ssh.connection.unidentified failure",
    E4: "ssh.disconnect denied",
    E5: "ssh.disconnect denied",
    E6: "ssh.disconnect failure",
    E7: "ssh.disconnect failure",
    E8: "auth.login failure",
    E9: "auth.login failure",
    E10: "auth.login failure",
    E11: "ssh.connection.failed failure",
    E12: "ssh.userauth.request failure",
    E13: "ssh.user.invalid failure",
    E14: "auth.login failure",
    E15: "ssh.pam.failure failure",
    E16: "ssh.pam.failure failure",
    E17: "ssh.pam.failure failure",
    E18: "ssh.pam.retries failure",
    E19: "ssh.pam.failure failure",
    E20: "ssh.pam.failure failure",
    E21: "ssh.pam.check failure",
    E22: "auth.logout success",
    E23: "ssh.session.open success",
    E24: "ssh.disconnect success",
    E25: "ssh.disconnect success",
    E26: "ssh.disconnect success",
    E27: "ssh.reverse_mapping failure",
  };

  const lines = (): string[] => readVectorText("events/openssh/OpenSSH_2k.log").split("\n");
  const events = (): TallyEvent[] => importAll(lines()).flatMap((imported) => (imported ? [imported.event] : []));
  const templates = (): string[] =>
    [...readVectorText("events/openssh/OpenSSH_2k.log_structured.csv").matchAll(/,(E\d+),/g)].map(([, id = ""]) => id);

  test("gives an event for each of its 2,000 lines, none unreadable", () => {
    const imported = importAll(lines());
    expect(imported).toHaveLength(2000);
    expect(imported.filter((line) => line === undefined || line.unreadable !== undefined)).toEqual([]);
  });

  test("gives each line the type and outcome of its template", () => {
    const ids = templates();
    expect(ids).toHaveLength(2000);
    expect(events().map(({ type, outcome }) => `${type} ${outcome}`)).toEqual(ids.map((id) => MAPPING[id]));
  });

  test("says who, from where and how for every login, and finds the port", () => {
    const logins = events().filter(({ type }) => type === "auth.login");
    expect(logins).toHaveLength(383 + 135 + 4 + 2 + 1);
    for (const { actor, source, auth, context } of logins) {
      expect([actor?.id, source?.ip, auth?.method]).not.toContain(undefined);
      expect(Number.isInteger(context?.["port"])).toBe(true);
    }
  });

  test("says who for every event but the two kinds of line that do not", () => {
    const nameless = events().filter(({ actor }) => actor === undefined);
    expect(new Set(nameless.map(({ type }) => type))).toEqual(
      new Set(["ssh.pam.check", "ssh.pam.retries", "ssh.connection.failed"]),
    );
  });

  test("gives the same events when it is imported again, and no id twice", () => {
    expect(events()).toEqual(events());
    expect(new Set(events().map(({ id }) => id)).size).toBe(2000);
  });

  test("never goes back in time", () => {
    const times = events().map(({ time }) => time);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(new Date(times[0] ?? 0).toISOString()).toBe("2017-12-10T06:55:46.000Z");
  });
});
