/** What is believed of a request: addresses, cookies, and nothing that a stranger may have written. */
import { describe, expect, test } from "vitest";
import { activityOf } from "../src/http.ts";
import {
  type RequestFacts,
  clientAddress,
  isEncrypted,
  parseTrustProxy,
  sourceOf,
  targetOf,
} from "../src/request-facts.ts";
import { resolveAuditOptions } from "../src/request-state.ts";
import { shownToken, tokenHeaders } from "../src/session-cookie.ts";

function factsOf(headers: Readonly<Record<string, string>> = {}, more: Partial<RequestFacts> = {}): RequestFacts {
  return { method: "GET", path: "/", header: (name) => headers[name], peer: "192.0.2.1", encrypted: false, ...more };
}

describe("clientAddress", () => {
  const forged = "6.6.6.6, 203.0.113.7, 198.51.100.2";
  test.each([
    [0, forged, "192.0.2.1"],
    [1, forged, "198.51.100.2"],
    [2, forged, "203.0.113.7"],
    [1, "203.0.113.7", "203.0.113.7"],
    [2, "203.0.113.7", "203.0.113.7"],
    [1, undefined, "192.0.2.1"],
    [1, "6.6.6.6, unknown", undefined],
    [1, "6.6.6.6,", undefined],
    [1, "203.0.113.7:4711", "203.0.113.7"],
    [1, "[2001:DB8::1]:443", "2001:db8::1"],
    [1, "2001:db8::1", "2001:db8::1"],
    [1, "::ffff:203.0.113.7", "203.0.113.7"],
    [1, "fe80::1%eth0", "fe80::1"],
    [1, "x".repeat(10_000), undefined],
  ])("behind %j proxies, of %j, is %j", (trustProxy, list, address) => {
    const headers: Record<string, string> = list === undefined ? {} : { "x-forwarded-for": list };
    expect(clientAddress(factsOf(headers), trustProxy)).toBe(address);
  });

  test("no peer is no address", () => {
    expect(clientAddress(factsOf({}, { peer: undefined }), 0)).toBeUndefined();
    expect(sourceOf(factsOf({}, { peer: undefined }), 0)).toEqual({});
  });
});

test.each([-1, 1.5, 33, Number.NaN])("trustProxy is a whole number from 0 to 32, not %j", (hops) => {
  expect(() => parseTrustProxy(hops)).toThrow(RangeError);
});

test.each([
  [0, "https", false],
  [1, "https", true],
  [1, "http", false],
  [1, "https, http", false],
  [2, "https, http", true],
])("behind %j proxies, that said %j, encrypted is %j", (trustProxy, proto, encrypted) => {
  expect(isEncrypted(factsOf({ "x-forwarded-proto": proto }), trustProxy)).toBe(encrypted);
  expect(isEncrypted(factsOf({ "x-forwarded-proto": proto }, { encrypted: true }), trustProxy)).toBe(true);
});

test("an agent and a target become one line of bounded length, without the query", () => {
  const source = sourceOf(factsOf({ "user-agent": `a\u0000\u0085\u2028b${"x".repeat(2000)}` }), 0);
  expect(source.userAgent).toMatch(/^a bx{507}$/);
  expect(targetOf(factsOf({}, { path: `/${"y".repeat(500)}` })).id).toHaveLength(200);
  expect(sourceOf(factsOf({ "user-agent": " \u0000 " }), 0)).toEqual({ ip: "192.0.2.1" });
});

describe("shownToken", () => {
  test.each([
    ["session=abc", "abc"],
    ["a=1; session=abc; b=2", "abc"],
    ["session=abc; session=def", "abc"],
    ["xsession=abc", undefined],
    ["session", undefined],
    ["=session", undefined],
    [`session=abc; ${"x".repeat(20_000)}`, undefined],
  ])("of the cookies %j is %j", (cookie, token) => {
    expect(shownToken(factsOf({ cookie }), {}, false)?.token).toBe(token);
  });

  test("takes a cookie of plain connections for none on an encrypted one", () => {
    expect(shownToken(factsOf({ cookie: "session=abc" }), {}, true)).toBeUndefined();
    expect(shownToken(factsOf({ cookie: "__Host-session=abc" }), {}, true)?.token).toBe("abc");
  });

  test("takes a bearer token before a cookie, and no other scheme", () => {
    const cookie = "session=abc";
    expect(shownToken(factsOf({ cookie, authorization: "Bearer xyz" }), {}, false)).toEqual({
      token: "xyz",
      carrier: "bearer",
    });
    expect(shownToken(factsOf({ cookie, authorization: "Basic xyz" }), {}, false)?.token).toBe("abc");
    expect(shownToken(factsOf({ authorization: `Bearer ${"x".repeat(513)}` }), {}, false)).toBeUndefined();
  });
});

test("a cookie may be secure although the connection to the last proxy is not", () => {
  const [[name, value] = []] = tokenHeaders("t", "cookie", { secure: true }, false);
  expect([name, value]).toEqual(["set-cookie", "__Host-session=t; Path=/; HttpOnly; SameSite=Lax; Secure"]);
});

test.each([{ name: "a b" }, { name: "a;b" }, { name: "" }, { name: "__Host-x", secure: false }])(
  "refuses %j for a cookie",
  (cookie) => {
    expect(() => resolveAuditOptions({ cookie })).toThrow(TypeError);
  },
);

test("activity is what the request says, then what the route says, then what the mode says", () => {
  const user = factsOf({ "tallystick-activity": "User" });
  const background = factsOf({ "tallystick-activity": "BACKGROUND" });
  const socket = factsOf({ upgrade: "websocket" });
  expect([activityOf(user, undefined), activityOf(user, false), activityOf(user, true)]).toEqual([true, false, true]);
  expect([activityOf(background, undefined), activityOf(background, true)]).toEqual([false, false]);
  expect([activityOf(factsOf(), undefined), activityOf(factsOf(), true)]).toEqual([undefined, true]);
  expect([activityOf(socket, undefined), activityOf(socket, true)]).toEqual([false, true]);
  expect(activityOf(factsOf(), ({ path }) => path !== "/")).toBe(false);
});
