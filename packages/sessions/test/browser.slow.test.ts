import { gzipSync } from "node:zlib";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { bundleForBrowser } from "../../../test/support/browser-bundle.ts";
import { findChromium } from "../../../test/support/chromium.ts";
import { type Server, SignedIn, becomes, kind, servePage, until } from "./support/browser-page.ts";

const MINUTE_MS = 60_000;

const entry = new URL("../src/browser.ts", import.meta.url).pathname;
const bundle = await bundleForBrowser(entry);

describe("the browser part", () => {
  test("is under 5 kB on its way, in one file that asks for nothing else", () => {
    expect(gzipSync(bundle).length).toBeLessThan(5000);
    expect(bundle).not.toMatch(/\bimport\b|\brequire\(|node:/);
  });
});

const launch = findChromium();
const name = "in a real browser";
describe.skipIf(launch === undefined)(
  launch === undefined ? `${name} (skipped: no Chromium here, none to be had)` : name,
  () => {
    let browser: Browser;
    let server: Server;
    let user: SignedIn;

    beforeAll(async () => {
      if (launch !== undefined) browser = await launch();
    });
    afterAll(async () => browser.close());
    beforeEach(async () => {
      server = await servePage(bundle, { idle: "5m", absolute: "8h" });
      user = await SignedIn.in(browser, server);
    });
    afterEach(async () => {
      await user.close();
      await server.close();
    });

    test("S5, S19 warns by the server's seconds, whatever the browser's clock says, counts down, and confirms once", async () => {
      const page = await user.tab();
      await user.pass(3 * MINUTE_MS + 55_000);
      expect(await kind(page)).toBe("page");
      expect(await page.isVisible("[role=alertdialog]")).toBe(false);

      await user.pass(10_000, 1000);
      expect(await page.isVisible("[role=alertdialog]")).toBe(true);
      expect(await page.textContent("[role=timer]")).toMatch(/^You will be signed out in 5[45] seconds\.$/);
      expect(await page.isVisible("#secret")).toBe(true);

      await user.pass(20_000, 1000);
      expect(await page.textContent("[role=timer]")).toMatch(/^You will be signed out in 3[45] seconds\.$/);
      await server.sessions.flush();
      const warnings = server.log.of("session.warning");
      expect(warnings).toHaveLength(1);
      expect(warnings[0]?.context).toMatchObject({ confirmed: true });
    });

    test("S5 says the countdown aloud a few times only", async () => {
      const page = await user.tab();
      await page.evaluate(`window.said = []; new MutationObserver(() => {
      const text = document.querySelector("[aria-live=polite]")?.textContent ?? "";
      if (text !== "" && said.at(-1) !== text) said.push(text);
    }).observe(document.body, { subtree: true, childList: true, characterData: true })`);
      await user.pass(4 * MINUTE_MS);
      await user.pass(57_000, 1000);
      const said = await page.evaluate<string[]>("said");
      expect(said.map((text) => Number(/\d+/.exec(text)?.[0])).slice(-4)).toEqual([30, 20, 10, 5]);
      expect(said.length).toBeLessThanOrEqual(6);
    });

    test("S1, S15 hides the page at the deadline, and says why", async () => {
      const page = await user.tab();
      await user.pass(5 * MINUTE_MS + 2000);
      expect(await page.evaluate("watch.view")).toEqual({ kind: "over", reason: "idle" });
      expect(await page.isVisible("#secret")).toBe(false);
      expect(await page.textContent("[role=alertdialog]")).toContain("Nothing happened for a while.");
      await server.sessions.flush();
      expect(server.log.of("session.timeout")[0]).toMatchObject({ reason: "idle" });
    });

    test("S6, S15 one key in one tab extends, and the warning goes from all tabs within 1 s", async () => {
      const [one, other] = [await user.tab(), await user.tab()];
      await user.pass(4 * MINUTE_MS + 10_000);
      expect([await kind(one), await kind(other)]).toEqual(["warning", "warning"]);
      await one.bringToFront();
      await one.keyboard.press("Enter");
      await Promise.all([becomes(one, "page"), becomes(other, "page")]);
      await server.sessions.flush();
      expect(server.log.of("session.extend")).toHaveLength(1);
    });

    test("S6 can be extended ten times over, each time by one action", async () => {
      const page = await user.tab();
      for (let times = 0; times < 10; times += 1) {
        await user.pass(4 * MINUTE_MS + 10_000);
        await page.click("text=Stay signed in");
        await becomes(page, "page");
      }
      await server.sessions.flush();
      expect(server.log.of("session.extend")).toHaveLength(10);
      expect(server.log.of("session.warning")).toHaveLength(10);
    });

    test("S6 near the absolute limit only signing in is offered", async () => {
      await user.close();
      await server.close();
      server = await servePage(bundle, { idle: "5m", absolute: "6m" });
      user = await SignedIn.in(browser, server);
      const page = await user.tab();
      await user.pass(4 * MINUTE_MS + 10_000);
      await page.click("text=Stay signed in");
      await user.pass(MINUTE_MS);
      expect(await page.evaluate("watch.view.extendable")).toBe(false);
      expect(await page.isVisible("text=Stay signed in")).toBe(false);
      expect(await page.isVisible("text=Sign in again")).toBe(true);
      // It covers nothing, and can be put away to save one's work.
      await page.keyboard.press("Escape");
      expect(await page.isVisible("[role=alertdialog]")).toBe(false);
    });

    test("S15 signing out hides all tabs within 1 s", async () => {
      const [one, other] = [await user.tab(), await user.tab()];
      await one.evaluate("void watch.signOut()");
      await Promise.all([becomes(one, "over"), becomes(other, "over")]);
      expect(await one.isVisible("#secret")).toBe(false);
      expect(await other.isVisible("#secret")).toBe(false);
      await server.sessions.flush();
      expect(server.log.of("session.end")).toHaveLength(1);
    });

    test("S7, S15 a key typed in one tab is activity, and all tabs know it within 1 s", async () => {
      const [one, other] = [await user.tab(), await user.tab()];
      await user.pass(2 * MINUTE_MS);
      await one.bringToFront();
      await one.type("#note", "a");
      await until(other, "watch.view.remainingSeconds >= 295");
      await server.sessions.flush();
      expect(server.log.of("session.activity")[0]?.context).toMatchObject({ at: expect.any(Number) });
    });

    test("S7 what a script makes up is not activity, nor is a page that is only open", async () => {
      const page = await user.tab();
      await user.pass(2 * MINUTE_MS);
      await page.evaluate(
        `document.querySelector("#note").dispatchEvent(new KeyboardEvent("keydown", { bubbles: true, key: "a" }))`,
      );
      await user.pass(2 * MINUTE_MS + 10_000);
      expect(await kind(page)).toBe("warning");
      await server.sessions.flush();
      expect(server.log.of("session.activity")).toEqual([]);
    });

    test("S7 fetch says whether a user is behind it, and learns how long the session goes on", async () => {
      const page = await user.tab();
      await user.pass(2 * MINUTE_MS);
      await page.evaluate(`watch.fetch("/data")`);
      expect(await page.evaluate("watch.view.remainingSeconds")).toBeLessThanOrEqual(180);
      const [request] = await Promise.all([page.waitForRequest("**/session"), page.click("#elsewhere")]);
      expect(request.headers()["tallystick-activity"]).toBe("user");
      // Whoever must show again who he is, is signed in all the same.
      expect(await page.evaluate(`watch.fetch("/secret-data").then(({ status }) => status)`)).toBe(401);
      await becomes(page, "page");
      await server.sessions.endAll("u_81");
      expect(await page.evaluate(`watch.fetch("/data").then(({ status }) => status)`)).toBe(401);
      expect(await page.evaluate("watch.view")).toEqual({ kind: "over", reason: "revoked" });
    });

    test("S15 a page that was asleep asks before it shows anything", async () => {
      const page = await user.tab();
      await page.evaluate("window.isThePageOfBefore = true");
      await page.goto(`${server.url}/elsewhere`);
      await server.sessions.endAll("u_81");
      const { asked, answer } = server.hold();
      await page.goBack({ waitUntil: "commit" });
      await asked;
      expect(await page.evaluate("window.isThePageOfBefore")).toBe(true);
      expect(await kind(page)).toBe("asking");
      expect(await page.isVisible("#secret")).toBe(false);
      answer();
      await becomes(page, "over");
      expect(await page.isVisible("#secret")).toBe(false);
    });

    test("S15 a machine that slept asks before it shows anything, and the session may be alive", async () => {
      const page = await user.tab();
      server.pass(2 * MINUTE_MS);
      const asked = page.waitForRequest("**/session");
      await page.clock.fastForward(2 * MINUTE_MS);
      await asked;
      await becomes(page, "page");
      expect(await page.evaluate("watch.view.remainingSeconds")).toBeLessThanOrEqual(180);
    });

    test("S15 a page shows nothing at the deadline while the server does not answer, and is back when it does", async () => {
      const page = await user.tab();
      await user.pass(MINUTE_MS);
      await user.context.setOffline(true);
      await user.pass(4 * MINUTE_MS + 10_000);
      expect(await page.evaluate("watch.view")).toEqual({ kind: "asking", offline: true });
      expect(await page.isVisible("#secret")).toBe(false);
      expect(await page.textContent("[role=alertdialog]")).toContain("The server does not answer");
      await user.context.setOffline(false);
      // It may have asked before there was a network again.
      for (let times = 0; times < 30 && (await kind(page)) !== "over"; times += 1) await user.pass(1000);
      expect(await page.evaluate("watch.view")).toEqual({ kind: "over", reason: "idle" });
    });

    test("S15 where another user signed in, a tab shows nothing of the one before", async () => {
      const page = await user.tab();
      await user.signIn("u_82");
      await user.pass(31_000);
      expect(await page.evaluate("watch.view")).toEqual({ kind: "over", reason: "replaced" });
      expect(await page.isVisible("#secret")).toBe(false);
    });

    test("S15 tabs hear each other through a storage where there is no BroadcastChannel", async () => {
      await user.context.addInitScript("delete globalThis.BroadcastChannel");
      const [one, other] = [await user.tab(), await user.tab()];
      await one.evaluate("void watch.signOut()");
      await becomes(other, "over");
    });

    test("the warning is for the keyboard alone too: focus stays within it, Escape stays signed in, and focus returns", async () => {
      const page = await user.tab();
      await page.focus("#note");
      await user.pass(4 * MINUTE_MS + 10_000);
      expect(await focused(page)).toBe("Stay signed in");
      const reached = new Set<string>();
      for (let times = 0; times < 6; times += 1) {
        await page.keyboard.press("Tab");
        reached.add(await focused(page));
      }
      expect(reached).toContain("Sign out");
      expect(reached).not.toContain("Elsewhere");
      expect(await page.evaluate("document.activeElement.id")).not.toBe("note");
      await page.keyboard.press("Escape");
      await becomes(page, "page");
      expect(await page.evaluate("document.activeElement.id")).toBe("note");
    });

    test("a cover cannot be put away", async () => {
      const page = await user.tab();
      await user.pass(5 * MINUTE_MS + 2000);
      for (let times = 0; times < 3; times += 1) await page.keyboard.press("Escape");
      expect(await page.isVisible("[role=alertdialog]")).toBe(true);
      expect(await page.isVisible("#secret")).toBe(false);
    });

    test.each(["light", "dark"] as const)(
      "the warning can be read in %s, and has a name and a role",
      async (colorScheme) => {
        await user.close();
        user = await SignedIn.in(browser, server, { colorScheme });
        const page = await user.tab();
        await user.pass(4 * MINUTE_MS + 10_000);
        expect(await page.getByRole("alertdialog", { name: "Are you still there?" }).isVisible()).toBe(true);
        for (const part of ["h2", "[role=timer]", "button:first-child", "button:last-child"]) {
          expect(await contrast(page, `[role=alertdialog] ${part}`)).toBeGreaterThan(7);
        }
        const folder = process.env["TALLYSTICK_SCREENSHOTS"];
        if (folder === undefined) return;
        await page.screenshot({ path: `${folder}/warning-${colorScheme}.png` });
        await user.pass(MINUTE_MS);
        await page.screenshot({ path: `${folder}/over-${colorScheme}.png` });
      },
    );
  },
);

async function focused(page: Page): Promise<string> {
  return page.evaluate<string>("document.activeElement.textContent");
}

/** WCAG 2.2, 1.4.3: of the text to what is behind it. */
async function contrast(page: Page, selector: string): Promise<number> {
  const [text, behind] = await page.evaluate<[string, string]>(`(() => {
    const element = document.querySelector(${JSON.stringify(selector)});
    const behind = (each) => getComputedStyle(each).backgroundColor === "rgba(0, 0, 0, 0)"
      ? behind(each.parentElement) : getComputedStyle(each).backgroundColor;
    return [getComputedStyle(element).color, behind(element)];
  })()`);
  const [brighter = 0, darker = 0] = [luminance(text), luminance(behind)].toSorted((one, other) => other - one);
  return (brighter + 0.05) / (darker + 0.05);
}

function luminance(color: string): number {
  const [red = 0, green = 0, blue = 0] = (color.match(/[\d.]+/g) ?? []).map((each) => Number(each) / 255);
  const linear = (part: number): number => (part <= 0.040_45 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}
