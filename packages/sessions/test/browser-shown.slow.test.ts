/** What a user gets of it: by touch, by voice, by screen reader, at four times the size, in pages that style everything. */
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { bundleForBrowser } from "../../../test/support/browser-bundle.ts";
import { findChromium } from "../../../test/support/chromium.ts";
import { type Server, SignedIn, becomes, kind, servePage, until } from "./support/browser-page.ts";

const MINUTE_MS = 60_000;
const UNTIL_WARNING_MS = 4 * MINUTE_MS + 10_000;
/** 1280 by 1024 at 400 %: WCAG 2.2, 1.4.10. */
const ZOOMED = { viewport: { width: 320, height: 256 } };

const bundle = await bundleForBrowser(new URL("../src/browser.ts", import.meta.url).pathname);
const launch = findChromium();
const name = "what a user gets of it";

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

    async function again(absolute: "6m" | "8h", options: BrowserContextOptions = {}): Promise<Page> {
      await user.close();
      await server.close();
      server = await servePage(bundle, { idle: "5m", absolute });
      user = await SignedIn.in(browser, server, options);
      return user.tab();
    }

    /** For people to look at: where a folder is named. */
    async function show(page: Page, what: string): Promise<void> {
      const folder = process.env["TALLYSTICK_SCREENSHOTS"];
      if (folder !== undefined) await page.screenshot({ path: `${folder}/${what}.png` });
    }

    /** The dialog as a screen reader gets it. */
    async function dialogOf(
      page: Page,
    ): Promise<{ role: unknown; name: unknown; description: unknown; focused: unknown }> {
      const session = await user.context.newCDPSession(page);
      const { nodes } = await session.send("Accessibility.getFullAXTree");
      const focused = nodes.findLast(({ properties = [] }) =>
        properties.some((each) => each.name === "focused" && each.value.value === true),
      );
      const dialog = nodes.find(({ role }) => role?.value === "alertdialog");
      return {
        role: dialog?.role?.value,
        name: dialog?.name?.value,
        description: dialog?.description?.value,
        focused: focused?.name?.value,
      };
    }

    test("S5 a screen reader says on opening what it is, how long it takes and what helps", async () => {
      const page = await user.tab();
      await user.pass(UNTIL_WARNING_MS);
      expect(await dialogOf(page)).toEqual({
        role: "alertdialog",
        name: "Are you still there?",
        description: expect.stringMatching(
          /^You will be signed out in (1 minute|5\d seconds)\. What you have not saved would be lost\.$/,
        ),
        focused: "Stay signed in",
      });
      await user.pass(2 * MINUTE_MS);
      expect(await dialogOf(page)).toMatchObject({
        name: "You are signed out",
        description: "Nothing happened for a while.",
        focused: "Sign in again",
      });
    });

    test("S5 seconds that a late browser leaves out do not take the announcements with them", async () => {
      const page = await user.tab();
      await user.pass(UNTIL_WARNING_MS);
      const said = new Set<unknown>();
      for (let times = 0; times < 15; times += 1) {
        server.pass(3000);
        await user.context.clock.fastForward(3000);
        await user.settled();
        said.add(await page.textContent("[aria-live]"));
      }
      expect([...said].map((text) => Number(/\d+/.exec(String(text))?.[0])).length).toBe(5);
    });

    test("S6 where only signing in helps, keys meant for the page do nothing, and a touch puts the warning away", async () => {
      const page = await again("6m", { hasTouch: true });
      await user.pass(UNTIL_WARNING_MS);
      await page.click("text=Stay signed in");
      await page.focus("#note");
      await user.pass(MINUTE_MS);
      expect(await page.evaluate("watch.view")).toMatchObject({ kind: "warning", extendable: false });
      await show(page, "absolute-light");
      const { url } = server;
      for (const key of ["a", " ", "Enter"]) await page.keyboard.press(key);
      expect(page.url()).toBe(`${url}/`);
      expect(await page.isVisible("[role=alertdialog]")).toBe(true);
      expect((await dialogOf(page)).focused).toBe("Are you still there?");
      await page.tap("text=Back to the page");
      expect(await page.isVisible("[role=alertdialog]")).toBe(false);
      expect(await page.evaluate("document.activeElement.id")).toBe("note");
      await user.pass(MINUTE_MS);
      expect(await page.evaluate("watch.view")).toEqual({ kind: "over", reason: "absolute" });
      expect(await page.isVisible("[role=alertdialog]")).toBe(true);
    });

    test("S6 two clicks on one button are one wish", async () => {
      const page = await user.tab();
      await user.pass(UNTIL_WARNING_MS);
      await page.dblclick("text=Stay signed in");
      await becomes(page, "page");
      await user.settled();
      await server.sessions.flush();
      expect(server.log.of("session.extend")).toHaveLength(1);
    });

    test("S7 who dictates, and presses no key, is a user too", async () => {
      const page = await user.tab();
      await page.focus("#note");
      await user.pass(2 * MINUTE_MS);
      await page.keyboard.insertText("dictated");
      await until(page, "watch.view.remainingSeconds >= 295");
    });

    test("S15 who leaves hides the other tabs before the server answers", async () => {
      const [one, other, third] = [await user.tab(), await user.tab(), await user.tab()];
      const { asked, answer } = server.hold();
      await one.evaluate("void watch.signOut()");
      await asked;
      for (const page of [one, other, third]) {
        await becomes(page, "asking");
        expect(await page.isVisible("#secret")).toBe(false);
      }
      answer();
      for (const page of [one, other, third]) await becomes(page, "over");
      await server.sessions.flush();
      expect(server.log.of("session.end")).toHaveLength(1);
    });

    test("S15 leaving is tried again until the server answers, also in a tab that nobody looks at", async () => {
      const page = await user.tab();
      await page.route("**/session/end", async (route) => route.fulfill({ status: 503 }));
      await page.evaluate("watch.signOut()");
      expect(await page.evaluate("watch.view")).toEqual({ kind: "asking", offline: true });
      await show(page, "offline-light");
      await turn(page, "hidden");
      await page.unroute("**/session/end");
      await user.pass(5000, 1000);
      expect(await page.evaluate("watch.view")).toEqual({ kind: "over", reason: "logout" });
    });

    test("S15 a server that is slow is no server, until it answers", async () => {
      const page = await user.tab();
      await turn(page, "hidden");
      const { asked, answer } = server.hold();
      await turn(page, "visible");
      await asked;
      await page.evaluate("for (const each of waiting.filter(({ ms }) => ms <= 10000)) each.giveUp()");
      await until(page, "watch.view.offline");
      expect(await page.isVisible("#secret")).toBe(false);
      answer();
      await user.pass(3000, 1000);
      expect(await kind(page)).toBe("page");
    });

    test("S15 a tab hidden for hours asks before it shows anything; one that is back at once has the focus where it was", async () => {
      const page = await user.tab();
      await page.focus("#note");
      await turn(page, "hidden");
      expect(await page.isVisible("#secret")).toBe(false);
      await turn(page, "visible");
      await becomes(page, "page");
      expect(await page.evaluate("document.activeElement.id")).toBe("note");

      await turn(page, "hidden");
      await user.pass(3 * 60 * MINUTE_MS, 10 * MINUTE_MS);
      const { asked, answer } = server.hold();
      await turn(page, "visible");
      await asked;
      expect([await kind(page), await page.isVisible("#secret")]).toEqual(["asking", false]);
      answer();
      await becomes(page, "over");
    });

    test("S15 a page that the browser froze asks before it shows anything", async () => {
      const page = await user.tab();
      await page.evaluate(`document.dispatchEvent(new Event("freeze"))`);
      expect([await kind(page), await page.isVisible("#secret")]).toEqual(["asking", false]);
      await server.sessions.endAll("u_81");
      const { asked, answer } = server.hold();
      await page.evaluate(`document.dispatchEvent(new Event("resume"))`);
      await asked;
      expect([await kind(page), await page.isVisible("#secret")]).toEqual(["asking", false]);
      answer();
      await becomes(page, "over");
    });

    test("S15 after leaving, the way back in the browser shows nothing", async () => {
      const page = await user.tab();
      await page.evaluate("watch.signOut()");
      await page.goto(`${server.url}/elsewhere`);
      await page.goBack({ waitUntil: "commit" });
      await until(page, "window.watch?.view.kind === 'over'");
      expect(await page.isVisible("#secret")).toBe(false);
    });

    test("a cover hides what its page shows most stubbornly, and comes back where the page's parts are replaced", async () => {
      const page = await user.tab();
      await page.evaluate(`{
        const stubborn = document.createElement("p");
        stubborn.id = "stubborn";
        stubborn.textContent = "1,234";
        stubborn.style.setProperty("visibility", "visible");
        document.querySelector("label").append(stubborn);
        document.body.append("bare text");
      }`);
      await turn(page, "hidden");
      expect(await page.isVisible("#stubborn")).toBe(false);
      expect(await page.evaluate("getComputedStyle(document.body).visibility")).toBe("hidden");
      await turn(page, "visible");
      await becomes(page, "page");
      await page.evaluate("document.body.replaceChildren(document.querySelector('#secret'))");
      await user.pass(UNTIL_WARNING_MS);
      expect(await page.isVisible("text=Stay signed in")).toBe(true);
      await page.evaluate("document.body.replaceChildren(document.querySelector('#secret'))");
      await user.pass(1000);
      expect(await page.isVisible("text=Stay signed in")).toBe(true);
      await user.pass(2 * MINUTE_MS);
      expect([await page.isVisible("text=Sign in again"), await page.isVisible("#secret")]).toEqual([true, false]);
    });

    test("the styles of a page do not make the dialog illegible", async () => {
      const page = await user.tab();
      await page.evaluate(`{
        const sheet = new CSSStyleSheet();
        sheet.replaceSync("body h2, body p { color: white; background: white; font-size: 3px }");
        document.adoptedStyleSheets.unshift(sheet);
      }`);
      await user.pass(UNTIL_WARNING_MS);
      const style = await page.evaluate<string[]>(`(() => {
        const { color, fontSize } = getComputedStyle(document.querySelector("[role=timer]"));
        return [color, fontSize, getComputedStyle(document.querySelector("[role=alertdialog] h2")).color];
      })()`);
      expect(style).toEqual(["rgb(0, 0, 0)", "16px", "rgb(0, 0, 0)"]);
    });

    test.each(["light", "dark"] as const)(
      "all of it can be reached at four times the size in %s, and nothing moves",
      async (colorScheme) => {
        const page = await again("8h", { ...ZOOMED, colorScheme, reducedMotion: "reduce" });
        await user.pass(UNTIL_WARNING_MS);
        await show(page, `zoomed-${colorScheme}`);
        const box = await page.evaluate<{ wide: boolean; left: number; right: number; bottom: number }>(`(() => {
        const dialog = document.querySelector("[role=alertdialog]");
        const { left, right, bottom } = dialog.getBoundingClientRect();
        return { wide: dialog.scrollWidth > dialog.clientWidth, left, right, bottom };
      })()`);
        expect(box.wide).toBe(false);
        expect(box.left).toBeGreaterThanOrEqual(0);
        expect(box.right).toBeLessThanOrEqual(ZOOMED.viewport.width);
        expect(box.bottom).toBeLessThanOrEqual(ZOOMED.viewport.height);
        await page.keyboard.press("Tab");
        expect(await page.evaluate("document.activeElement.textContent")).toBe("Sign out");
        expect(await page.evaluate("document.getAnimations().length")).toBe(0);
        await show(page, `zoomed-last-${colorScheme}`);
      },
    );

    test("forced colours leave borders and words", async () => {
      const page = await again("8h", { forcedColors: "active" });
      await user.pass(UNTIL_WARNING_MS);
      await show(page, "forced");
      const style = await page.evaluate<string[]>(`[
        getComputedStyle(document.querySelector("[role=alertdialog]")).borderStyle,
        getComputedStyle(document.querySelector("[role=alertdialog] button")).forcedColorAdjust,
      ]`);
      // Else the browser lays the page's colour behind words of the page's colour.
      expect(style).toEqual(["solid", "none"]);
    });
  },
);

/** Tells the page that its tab was hidden, or is looked at again, as the browser does. */
async function turn(page: Page, state: "hidden" | "visible"): Promise<void> {
  await page.evaluate(`{
    Object.defineProperty(document, "visibilityState", { configurable: true, value: "${state}" });
    document.dispatchEvent(new Event("visibilitychange"));
  }`);
}
