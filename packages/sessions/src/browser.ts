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

/** Of what the endpoints answer, what counts here. */
interface Status {
  /** Which session. */
  readonly session: string;
  readonly remainingSeconds: number;
  readonly extendable: boolean;
  /** Whether it is time to warn the user. */
  readonly warning: unknown;
  readonly extended: boolean;
}

/** The question that a status answers. */
interface Question {
  readonly number: number;
  /** By `performance.now()`. */
  readonly sentAt: number;
  /** It was another tab's. */
  readonly isHeard?: boolean;
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
type Message = Status | typeof OVER;

type Endpoint = "" | "/extend" | "/warned" | "/end";

const OVER = "over";
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
/** The last two are all there is of a user who speaks, or has a screen reader act. */
const INPUT = ["pointerdown", "keydown", "wheel", "touchstart", "click", "input"];

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
  #extending: Promise<Status | undefined> | undefined;

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
    if (this.#over !== undefined) return false;
    this.#extending ??= this.#ask("/extend", true).finally(() => (this.#extending = undefined));
    return (await this.#extending)?.extended ?? false;
  }

  async signOut(): Promise<void> {
    if (this.#over !== undefined) return;
    this.#leaving = true;
    this.#cover();
    // The others hide too, also where the server does not answer.
    this.#tell(OVER);
    await this.#askAgain();
  }

  readonly fetch: Fetch = async (input, init) => {
    const request = new Request(input, init);
    if (!isOwn(request.url)) return fetch(request);
    if (!request.headers.has(ACTIVITY)) request.headers.set(ACTIVITY, this.#takeInput() ? "user" : "background");
    const number = (this.#asked += 1);
    const sentAt = performance.now();
    const response = await fetch(request);
    // It may have been sent elsewhere.
    if (!isOwn(response.url)) return response;
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
    page().addEventListener("online", () => void this.#askAgain(), { signal });
    if (this.#options.reportInput === false) return;
    const how = { signal, capture: true, passive: true };
    for (const type of INPUT) page().addEventListener(type, (event) => this.#onInput(event), how);
  }

  #turned(): void {
    if (isHidden()) this.#cover();
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
    // Whoever leaves need not look on.
    if (this.#over !== undefined || (isHidden() && !this.#leaving)) return;
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
        // Leaving goes on where the page is closed meanwhile.
        keepalive: endpoint === "/end",
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      if (response.status === 204 && endpoint === "/end") this.#end("logout");
      if (response.status === 401) await this.#refused(response);
      const status = response.status === 200 ? parseStatus(await response.json()) : undefined;
      if (status === undefined) this.#unanswered(number);
      else this.#learn(status, { number, sentAt });
      return status;
    } catch {
      this.#unanswered(number);
      return undefined;
    }
  }

  /** `reauth-required` is of one request; the others are of the session. */
  async #refused(response: Response): Promise<void> {
    const { code, reason } = ((await response.json().catch(() => null)) ?? {}) as { code?: unknown; reason?: unknown };
    const isOver = code === "session-expired" || code === "session-required";
    if (isOver) this.#end(typeof reason === "string" ? reason : "unknown");
  }

  #unanswered(number: number): void {
    if (this.#over !== undefined || number <= this.#answered) return;
    this.#askAt = performance.now() + Math.min(RETRY_MS_MAX, TICK_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#render();
  }

  #learn(status: Status, { number, sentAt, isHeard = false }: Question): void {
    if (number <= this.#answered || this.#over !== undefined) return;
    this.#answered = number;
    this.#failures = 0;
    const { session, remainingSeconds, extendable } = status;
    // Somebody signed in anew: what this page shows may be another user's.
    if (this.#known !== undefined && this.#known.session !== session) return this.#end("replaced");
    const warned = Boolean(status.warning);
    this.#known = { session, endsAt: sentAt + remainingSeconds * 1000, extendable, warned };
    // Whatever other tabs say, the server is asked as often.
    const askAt = performance.now() + askInMs(this.#remainingMs());
    this.#askAt = isHeard ? Math.min(askAt, this.#askAt) : askAt;
    if (!warned) this.#confirmed = false;
    const isAnswer = this.#coveredSince !== null && number > this.#coveredSince;
    if (isAnswer && remainingSeconds > 0 && !this.#leaving) this.#coveredSince = null;
    this.#render();
    if (!isHeard) this.#tell({ ...status, remainingSeconds: this.#remainingMs() / 1000 });
  }

  #learnFrom(headers: Headers, question: Question): void {
    const remaining = headers.get("tallystick-session-remaining");
    const warning = headers.get("tallystick-session-warning");
    if (remaining === null || this.#known === undefined) return;
    const { session, extendable } = this.#known;
    const status = parseStatus({
      session,
      remainingSeconds: Number(remaining),
      extendable: warning === null ? extendable : warning === "extend",
      warning,
    });
    if (status !== undefined) this.#learn(status, question);
  }

  #tell(message: Message): void {
    if (!this.#stopped.signal.aborted) this.#tabs.tell(message);
  }

  #hear(message: unknown): void {
    if (this.#over !== undefined) return;
    if (message === OVER) return this.#coverAndAsk();
    const status = parseStatus(message);
    if (status === undefined || this.#coveredSince !== null) return;
    // Who says so may have slept, and speak of a session before this one: the server knows.
    if (status.session !== this.#known?.session) return this.#coverAndAsk();
    this.#learn(status, { number: (this.#asked += 1), sentAt: performance.now(), isHeard: true });
  }

  #end(reason: string): void {
    if (this.#over !== undefined) return;
    this.#over = reason;
    this.#render();
    if (reason !== "replaced") this.#tell(OVER);
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
    if (isHidden()) return;
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

/** `undefined` for what is none: it comes from elsewhere. */
function parseStatus(value: unknown): Status | undefined {
  const { session, remainingSeconds, extendable, warning, extended } = (value ?? {}) as Record<string, unknown>;
  if (typeof session !== "string" || !Number.isFinite(remainingSeconds)) return undefined;
  return {
    session,
    remainingSeconds: Number(remainingSeconds),
    extendable: !!extendable,
    warning,
    extended: !!extended,
  };
}

function isOwn(url: string): boolean {
  const { href, origin } = page().location;
  return new URL(url, href).origin === origin;
}

function isHidden(): boolean {
  return page().document.visibilityState === "hidden";
}
