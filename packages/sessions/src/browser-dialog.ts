/**
 * What the user sees of the session: a warning with a countdown, a cover while nobody knows whether the session is alive,
 * and its end. One modal dialog, in light and dark, for keyboard and screen reader. WCAG 2.2.1, WAI-ARIA 1.2 alertdialog.
 */
import { type PageDialog, type PageElement, page } from "./browser-dom.ts";

/** What is to be shown. */
export type SessionView =
  /** The page itself. */
  | { readonly kind: "page"; readonly remainingSeconds: number }
  /** Whether the session is alive is not known yet: show nothing of it. `offline`: the server does not answer. */
  | { readonly kind: "asking"; readonly offline: boolean }
  /** `extendable`: one action moves the deadline; if not, only signing in again helps. */
  | {
      readonly kind: "warning";
      readonly remainingSeconds: number;
      readonly extendable: boolean;
      readonly offline: boolean;
    }
  /** `reason`: idle, absolute, logout, revoked, superseded, unknown, or `replaced` by another session in this browser. */
  | { readonly kind: "over"; readonly reason: string };

export interface SessionActions {
  readonly extend: () => void;
  readonly signOut: () => void;
  readonly signIn: () => void;
}

export interface SessionTexts {
  readonly asking: string;
  readonly offline: string;
  readonly warning: string;
  /** The countdown; said aloud a few times only. */
  readonly remaining: (seconds: number) => string;
  readonly extendable: string;
  readonly absolute: string;
  readonly stay: string;
  readonly signOut: string;
  readonly signIn: string;
  /** Puts the warning away, where nothing but signing in again helps and there is work to save. */
  readonly back: string;
  readonly over: string;
  /** Why it is over, by its reason. */
  readonly reasons: Readonly<Record<string, string>>;
}

const TEXTS: SessionTexts = {
  asking: "Checking your session …",
  offline: "The server does not answer. Trying again …",
  warning: "Are you still there?",
  remaining: (seconds) => `You will be signed out in ${inWords(seconds)}.`,
  extendable: "What you have not saved would be lost.",
  absolute: "This session can't go on for longer. Save your work, then sign in again.",
  stay: "Stay signed in",
  signOut: "Sign out",
  signIn: "Sign in again",
  back: "Back to the page",
  over: "You are signed out",
  reasons: {
    idle: "Nothing happened for a while.",
    absolute: "The session was as long as a session may be.",
    revoked: "The session was ended from elsewhere.",
    superseded: "You signed in elsewhere.",
    replaced: "Somebody signed in anew in this browser.",
  },
};

/** A screen reader says the countdown as often, and none of the seconds between. */
const SAID_AT = [60, 30, 20, 10, 5];

const STYLE = `
.tallystick-session { color-scheme: light dark; box-sizing: border-box; max-width: min(26rem, 92vw); padding: 1.5rem;
  border: 1px solid GrayText; border-radius: .75rem; background: Canvas; color: CanvasText; font: 1rem/1.5 system-ui, sans-serif; }
.tallystick-session::backdrop { color-scheme: light dark; background: rgb(0 0 0 / .6); }
.tallystick-session:not([data-view=warning])::backdrop { background: Canvas; }
.tallystick-session[data-view=asking] { border-color: transparent; }
.tallystick-session :is(h2, p) { margin: .5rem 0; background: none; color: inherit; font: inherit; }
.tallystick-session h2 { margin-top: 0; font-size: 1.25rem; font-weight: 700; }
.tallystick-session, .tallystick-session h2 { outline: none; }
.tallystick-session [role=timer] { font-weight: 600; font-variant-numeric: tabular-nums; }
.tallystick-session .said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.tallystick-session .actions { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: 1.25rem; }
.tallystick-session button { min-height: 2.75rem; padding: .25rem 1rem; border: 1px solid currentColor; border-radius: .5rem;
  background: Canvas; color: CanvasText; font: inherit; cursor: pointer; }
.tallystick-session button:first-child { background: CanvasText; color: Canvas; forced-color-adjust: none; }
.tallystick-session button:focus-visible { outline: 3px solid LinkText; outline-offset: 2px; }
[data-tallystick-session=covered] :is(body, body *) { visibility: hidden !important; }
[data-tallystick-session] body .tallystick-session, [data-tallystick-session] .tallystick-session * { visibility: visible !important; }`;

export interface SessionDialog {
  show(view: SessionView): void;
  /** Whether an event took place within it. */
  contains(target: unknown): boolean;
  remove(): void;
}

export function createSessionDialog(actions: SessionActions, texts: Partial<SessionTexts> = {}): SessionDialog {
  return new Dialog(actions, { ...TEXTS, ...texts });
}

class Dialog implements SessionDialog {
  readonly #actions: SessionActions;
  readonly #texts: SessionTexts;
  readonly #dialog: PageDialog = page().document.createElement("dialog");
  /** What changes each second while the rest stays, so that the focus does. */
  readonly #timer: PageElement = element("p", { role: "timer" });
  readonly #said: PageElement = element("p", {
    id: "tallystick-session-said",
    class: "said",
    "aria-live": "polite",
    "aria-atomic": "true",
  });
  #saidAt: number | undefined;
  readonly #sheet = new (page().CSSStyleSheet)();
  #view: SessionView = { kind: "page", remainingSeconds: 0 };
  #shape = "";

  constructor(actions: SessionActions, texts: SessionTexts) {
    this.#actions = actions;
    this.#texts = texts;
    const { document } = page();
    this.#sheet.replaceSync(STYLE);
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, this.#sheet];
    this.#dialog.className = "tallystick-session";
    this.#dialog.setAttribute("role", "alertdialog");
    this.#dialog.setAttribute("aria-labelledby", "tallystick-session-title");
    this.#dialog.setAttribute("aria-describedby", "tallystick-session-said tallystick-session-text");
    this.#dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.#cancelled();
    });
    this.#dialog.addEventListener("close", () => this.#closed());
  }

  show(view: SessionView): void {
    this.#view = view;
    const shape = shapeOf(view);
    if (shape !== this.#shape || !this.#dialog.isConnected) this.#open(view, shape);
    if (view.kind === "warning") this.#count(view.remainingSeconds);
  }

  contains(target: unknown): boolean {
    return this.#dialog.contains(target);
  }

  remove(): void {
    this.show({ kind: "page", remainingSeconds: 0 });
    this.#dialog.remove();
    const { document } = page();
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => sheet !== this.#sheet);
  }

  /** Anew at each change of what it is about, so that it is above what the page has opened or put in its place since. */
  #open(view: SessionView, shape: string): void {
    this.#shape = shape;
    const { body, documentElement } = page().document;
    const isCovered = view.kind === "asking" || view.kind === "over";
    documentElement.setAttribute("data-tallystick-session", isCovered ? "covered" : "shown");
    if (this.#dialog.open) this.#dialog.close();
    if (view.kind === "page") return;
    this.#dialog.setAttribute("data-view", view.kind);
    this.#dialog.replaceChildren(...this.#content(view));
    this.#saidAt = undefined;
    if (view.kind === "warning") this.#count(view.remainingSeconds);
    body.append(this.#dialog);
    this.#dialog.showModal();
  }

  #content(view: Exclude<SessionView, { kind: "page" }>): PageElement[] {
    const { asking, offline, warning, extendable, absolute, stay, signOut, signIn, back, over, reasons } = this.#texts;
    const { extend, signOut: leave, signIn: enter } = this.#actions;
    switch (view.kind) {
      case "asking":
        return [titled(asking), text(view.offline ? offline : "")];
      case "over":
        return [
          titled(over),
          text((Object.hasOwn(reasons, view.reason) && reasons[view.reason]) || ""),
          buttons([[signIn, enter]]),
        ];
      case "warning":
        break;
    }
    const why = view.extendable ? extendable : absolute;
    const all = buttons([
      ...(view.extendable
        ? [[stay, extend] as const]
        : [[back, () => this.#dialog.close()] as const, [signIn, enter] as const]),
      [signOut, leave],
    ]);
    // Where a button leads away from the page, a key meant for that must not press it.
    const title = titled(warning, view.extendable ? {} : { tabindex: "-1", autofocus: "" });
    return [title, this.#timer, text(view.offline ? offline : why), this.#said, all];
  }

  #count(seconds: number): void {
    const remaining = this.#texts.remaining(seconds);
    this.#timer.textContent = remaining;
    // A second may be left out, where the browser is late.
    const saidAt = SAID_AT.findLast((at) => seconds <= at) ?? 0;
    if (saidAt !== this.#saidAt) this.#said.textContent = remaining;
    this.#saidAt = saidAt;
  }

  /** Escape is the user's: it stays where that can be, and takes away what covers nothing. */
  #cancelled(): void {
    if (this.#view.kind !== "warning") return;
    if (this.#view.extendable) this.#actions.extend();
    else this.#dialog.close();
  }

  /** Browsers let a user close a dialog at the second Escape whatever it says: a cover comes back. */
  #closed(): void {
    const isCover = this.#view.kind === "asking" || this.#view.kind === "over";
    if (isCover && !this.#dialog.open && this.#dialog.isConnected) this.#dialog.showModal();
  }
}

/** What it has to be built anew for: everything but the seconds. */
function shapeOf(view: SessionView): string {
  return JSON.stringify({ ...view, remainingSeconds: 0 });
}

function element(name: string, attributes: Readonly<Record<string, string>>, content = ""): PageElement {
  const made = page().document.createElement(name);
  for (const [each, value] of Object.entries(attributes)) made.setAttribute(each, value);
  made.textContent = content;
  return made;
}

function titled(content: string, attributes: Readonly<Record<string, string>> = {}): PageElement {
  return element("h2", { id: "tallystick-session-title", ...attributes }, content);
}

function text(content: string): PageElement {
  return element("p", { id: "tallystick-session-text" }, content);
}

function buttons(all: readonly (readonly [label: string, act: () => void])[]): PageElement {
  const row = element("div", { class: "actions" });
  for (const [label, act] of all) {
    const button = element("button", { type: "button" }, label);
    button.addEventListener("click", act);
    row.append(button);
  }
  return row;
}

function inWords(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes === 0) return counted(seconds, "second");
  return `${counted(minutes, "minute")} ${seconds % 60 === 0 ? "" : counted(seconds % 60, "second")}`.trim();
}

function counted(number: number, unit: string): string {
  return `${number} ${unit}${number === 1 ? "" : "s"}`;
}
