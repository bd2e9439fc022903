/**
 * The part of a session that is in the browser: it knows how long the session goes on, warns before it ends, takes the
 * user's wish to stay to the server, and hides the page once nobody is known to be there. In all tabs at once.
 *
 * It decides nothing. Seconds that remain come from the server, and count down by the page's monotonic clock from the moment
 * they were asked for; what the browser's clock says is not looked at. At zero the server is asked. A tab that was hidden or
 * asleep shows nothing until the server has answered.
 */
import { type SessionTexts, type SessionView, createSessionDialog } from "./browser-dialog.ts";
import { type PageEvent, page } from "./browser-dom.ts";
import { type Tabs, joinTabs } from "./browser-tabs.ts";

export type { SessionActions, SessionTexts, SessionView } from "./browser-dialog.ts";

type Fetch = typeof globalThis.fetch;

export interface WatchOptions {
  /** Where the guard's endpoints are; "/session" by default. */
  readonly url?: string | undefined;
  /** Where to sign in; by default the page is loaded again, and whoever guards it says where. */
  readonly signInUrl?: string | undefined;
  /** Shows the session's state instead of the dialog that comes with this. Of a warning it is confirmed that it was shown. */
  readonly onView?: ((view: SessionView) => void) | undefined;
  /** Other words for the dialog. */
  readonly texts?: Partial<SessionTexts> | undefined;
  /** Whether keys, clicks, touches and the wheel are reported as activity; `true` by default. */
  readonly reportInput?: boolean | undefined;
}

export interface SessionWatch {
  readonly view: SessionView;
  /** The user stays. Gives whether that moved the deadline. */
  extend(): Promise<boolean>;
  /** The user leaves, in all tabs. Where the server does not answer, the page stays hidden and it is tried again. */
  signOut(): Promise<void>;
  /**
   * As the page's own `fetch`; what goes to its own server says whether a user is behind it (`Tallystick-Activity`), and
   * what comes from there says how long the session goes on.
   */
  readonly fetch: Fetch;
  /** Leaves the page as it is, and to itself. */
  stop(): void;
}

/** What the endpoints answer. */
interface Status {
  /** Which session. */
  readonly session: string;
  readonly remainingSeconds: number;
  readonly extendable: boolean;
  readonly warning: object | null;
  readonly extended: boolean;
}

/** What is known of the session: of the server, at a moment of this page. */
interface Known {
  readonly session: string;
  /** By `performance.now()`: when it is over, unless something happens. */
  readonly endsAt: number;
  readonly extendable: boolean;
  readonly warned: boolean;
}

/** To the other tabs. Durations, no times: each tab's clock begins with the tab. */
type Message = { readonly kind: "status"; readonly status: Status } | { readonly kind: "over" };

type Endpoint = "" | "/extend" | "/warned" | "/end";

const ACTIVITY = "tallystick-activity";
const TICK_MS = 1000;
/** A tick that comes so late was not one: the machine slept. */
const ASLEEP_MS = 10_000;
const ANSWER_MS = 10_000;
const ASK_MS_MAX = 30_000;
const RETRY_MS_MAX = 15_000;
const REPORT_MS_MAX = 60_000;
/** When most servers begin to warn. */
const WARNING_MS = 60_000;
const INPUT = ["pointerdown", "keydown", "wheel", "touchstart"];

/** Watches the session that this page was loaded in. Call it once per page, before anything of the session is shown. */
export function watchSession(options: WatchOptions = {}): SessionWatch {
  return new Watch(options);
}

class Watch implements SessionWatch {
  readonly #options: WatchOptions;
  readonly #url: string;
  readonly #show: (view: SessionView) => void;
  readonly #isOurs: (target: unknown) => boolean;
  readonly #tabs: Tabs<Message>;
  readonly #stopped = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  #known: Known | undefined;
  #over: string | undefined;
  #view: SessionView = { kind: "asking", offline: false };
  /** Numbers questions, in order. An answer counts only if no later question was answered. */
  #asked = 0;
  #answered = 0;
  /** The page is covered until a question after this one is answered; `null`: it is not. */
  #coveredSince: number | null = 0;
  /** The number of the question that is under way by itself. */
  #asking: number | null = null;
  #failures = 0;
  #askAt = 0;
  #tickedAt: { readonly now: number; readonly date: number } = { now: performance.now(), date: Date.now() };
  #input = false;
  #reportAt = 0;
  #confirmed = false;
  #leaving = false;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#url = (options.url ?? "/session").replace(/\/+$/, "");
    const actions = {
      extend: () => void this.extend(),
      signOut: () => void this.signOut(),
      signIn: () => this.#signIn(),
    };
    const dialog = options.onView === undefined ? createSessionDialog(actions, options.texts) : undefined;
    this.#show = dialog === undefined ? (view) => options.onView?.(view) : (view) => dialog.show(view);
    this.#isOurs = (target) => dialog?.contains(target) ?? false;
    this.#tabs = joinTabs(`tallystick-session:${this.#url}`, (message) => this.#hear(message));
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#listen();
    this.#stopped.signal.addEventListener("abort", () => dialog?.remove());
    this.#show(this.#view);
    this.#wake();
  }

  get view(): SessionView {
    return this.#view;
  }

  async extend(): Promise<boolean> {
    const status = await this.#ask("/extend", true);
    return status?.extended ?? false;
  }

  async signOut(): Promise<void> {
    this.#leaving = true;
    this.#cover();
    await this.#ask("/end", true);
  }

  readonly fetch: Fetch = async (input, init) => {
    const request = new Request(input, init);
    const isOwn = new URL(request.url, page().location.href).origin === page().location.origin;
    if (!isOwn) return fetch(request);
    if (!request.headers.has(ACTIVITY)) request.headers.set(ACTIVITY, this.#takeInput() ? "user" : "background");
    const number = (this.#asked += 1);
    const sentAt = performance.now();
    const response = await fetch(request);
    if (response.status === 401) await this.#refused(response.clone());
    else this.#learnFrom(response.headers, { number, sentAt });
    return response;
  };

  stop(): void {
    clearInterval(this.#timer);
    this.#tabs.close();
    this.#stopped.abort();
  }

  #listen(): void {
    const { signal } = this.#stopped;
    const { document } = page();
    document.addEventListener("visibilitychange", () => this.#turned(), { signal });
    for (const type of ["freeze", "pagehide"]) {
      const target = type === "freeze" ? document : page();
      target.addEventListener(type, () => this.#cover(), { signal });
    }
    document.addEventListener("resume", () => this.#wake(), { signal });
    page().addEventListener("pageshow", () => this.#turned(), { signal });
    page().addEventListener("online", () => this.#wake(), { signal });
    if (this.#options.reportInput === false) return;
    const how = { signal, capture: true, passive: true };
    for (const type of INPUT) page().addEventListener(type, (event) => this.#onInput(event), how);
  }

  #turned(): void {
    if (page().document.visibilityState === "hidden") this.#cover();
    else this.#wake();
  }

  #cover(): void {
    this.#coveredSince = this.#asked;
    this.#render();
  }

  /** Whoever comes back sees nothing until the server has said that the session is alive. */
  #wake(): void {
    if (this.#coveredSince !== null) void this.#askAgain();
  }

  #onInput(event: PageEvent): void {
    // What a script makes up is no user; and who was asked whether he is there has to say so.
    if (!event.isTrusted || this.#view.kind !== "page" || this.#isOurs(event.target)) return;
    this.#input = true;
    if (performance.now() >= this.#reportAt) void this.#askAgain();
  }

  #takeInput(): boolean {
    const was = this.#input;
    this.#input = false;
    if (was) this.#reportAt = performance.now() + Math.min(REPORT_MS_MAX, this.#remainingMs() / 10);
    return was;
  }

  #tick(): void {
    const now = performance.now();
    const slept = this.#hasSlept(now);
    if (this.#over !== undefined || page().document.visibilityState === "hidden") return;
    if ((slept || this.#remainingMs() <= 0) && this.#coveredSince === null) this.#coverAndAsk();
    this.#render();
    if (now >= this.#askAt || (this.#input && now >= this.#reportAt)) void this.#askAgain();
  }

  /** The monotonic clock of some systems sleeps too, so the other is looked at as well: wrongly, it costs a question. */
  #hasSlept(now: number): boolean {
    const before = this.#tickedAt;
    this.#tickedAt = { now, date: Date.now() };
    return now - before.now > ASLEEP_MS || Math.abs(this.#tickedAt.date - before.date) > ASLEEP_MS;
  }

  #coverAndAsk(): void {
    this.#cover();
    void this.#askAgain();
  }

  /** Asks how long the session goes on, or again to end it; but one question at a time, unless the page was hidden since. */
  async #askAgain(): Promise<void> {
    const isUnderWay = this.#asking !== null && this.#asking > (this.#coveredSince ?? -1);
    if (isUnderWay || this.#over !== undefined) return;
    const number = this.#asked + 1;
    this.#asking = number;
    await (this.#leaving ? this.#ask("/end", true) : this.#ask("", this.#takeInput()));
    if (this.#asking === number) this.#asking = null;
  }

  async #ask(endpoint: Endpoint, byUser: boolean): Promise<Status | undefined> {
    const number = (this.#asked += 1);
    const sentAt = performance.now();
    try {
      const response = await fetch(this.#url + endpoint, {
        method: endpoint === "" ? "GET" : "POST",
        headers: { [ACTIVITY]: byUser ? "user" : "background" },
        cache: "no-store",
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      if (response.status === 204) this.#end("logout");
      if (response.status === 401) await this.#refused(response);
      if (!response.ok) this.#unanswered();
      if (response.status !== 200) return undefined;
      const status = (await response.json()) as Status;
      this.#learn(status, { number, sentAt });
      this.#tabs.tell({ kind: "status", status });
      return status;
    } catch {
      this.#unanswered();
      return undefined;
    }
  }

  /** `reauth-required` is of one request; the others are of the session. */
  async #refused(response: Response): Promise<void> {
    const { code, reason } = (await response.json().catch(() => ({}))) as { code?: string; reason?: string };
    if (code === "session-expired" || code === "session-required") this.#end(reason ?? "unknown");
  }

  #unanswered(): void {
    if (this.#over !== undefined) return;
    this.#askAt = performance.now() + Math.min(RETRY_MS_MAX, TICK_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#render();
  }

  #learn(status: Status, { number, sentAt }: { readonly number: number; readonly sentAt: number }): void {
    if (number <= this.#answered || this.#over !== undefined) return;
    this.#answered = number;
    this.#failures = 0;
    const { session, remainingSeconds, extendable } = status;
    // Somebody signed in anew: what this page shows may be another user's.
    if (this.#known !== undefined && this.#known.session !== session) return this.#end("replaced");
    const warned = status.warning !== null;
    this.#known = { session, endsAt: sentAt + remainingSeconds * 1000, extendable, warned };
    this.#askAt = performance.now() + askInMs(this.#remainingMs());
    if (!warned) this.#confirmed = false;
    const isAnswer = this.#coveredSince !== null && number > this.#coveredSince;
    if (isAnswer && remainingSeconds > 0 && !this.#leaving) this.#coveredSince = null;
    this.#render();
  }

  #learnFrom(headers: Headers, when: { readonly number: number; readonly sentAt: number }): void {
    const remaining = headers.get("tallystick-session-remaining");
    const warning = headers.get("tallystick-session-warning");
    if (remaining === null || this.#known === undefined) return;
    const { session, extendable } = this.#known;
    const status: Status = {
      session,
      remainingSeconds: Number(remaining),
      extendable: warning === null ? extendable : warning === "extend",
      warning: warning === null ? null : {},
      extended: false,
    };
    this.#learn(status, when);
    this.#tabs.tell({ kind: "status", status });
  }

  #hear(message: Message): void {
    if (this.#over !== undefined) return;
    if (message.kind === "over") {
      // It may be of a session before this one, from a tab that slept: the server knows.
      this.#coverAndAsk();
    } else if (this.#coveredSince === null) {
      this.#learn(message.status, { number: (this.#asked += 1), sentAt: performance.now() });
    }
  }

  #end(reason: string): void {
    if (this.#over !== undefined) return;
    this.#over = reason;
    if (reason !== "replaced") this.#tabs.tell({ kind: "over" });
    this.#render();
  }

  #signIn(): void {
    const { location } = page();
    const { signInUrl } = this.#options;
    if (signInUrl === undefined) location.reload();
    else location.assign(signInUrl);
  }

  #remainingMs(): number {
    return this.#known === undefined ? 0 : Math.max(0, this.#known.endsAt - performance.now());
  }

  #render(): void {
    if (this.#stopped.signal.aborted) return;
    this.#view = this.#viewNow();
    this.#show(this.#view);
    if (this.#view.kind === "warning" && !this.#confirmed && this.#failures === 0) this.#confirm();
  }

  #viewNow(): SessionView {
    const offline = this.#failures > 0;
    if (this.#over !== undefined) return { kind: "over", reason: this.#over };
    if (this.#coveredSince !== null || this.#known === undefined) return { kind: "asking", offline };
    const { extendable, warned } = this.#known;
    const remainingSeconds = Math.floor(this.#remainingMs() / 1000);
    return warned ? { kind: "warning", remainingSeconds, extendable, offline } : { kind: "page", remainingSeconds };
  }

  /** Once it is on the screen: not before the browser has painted, and not of a tab that nobody sees. */
  #confirm(): void {
    if (page().document.visibilityState === "hidden") return;
    this.#confirmed = true;
    const window = page();
    window.requestAnimationFrame(() => window.requestAnimationFrame(() => void this.#tellShown()));
  }

  async #tellShown(): Promise<void> {
    if ((await this.#ask("/warned", false)) === undefined) this.#confirmed = false;
  }
}

/** Soon enough to see a warning begin, wherever the server begins it, and more often towards the end. */
function askInMs(remainingMs: number): number {
  const untilWarning = remainingMs - WARNING_MS;
  return Math.max(TICK_MS, Math.min(ASK_MS_MAX, untilWarning > 0 ? untilWarning : remainingMs / 6));
}
