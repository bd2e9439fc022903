/**
 * As much of a page as the browser part touches. The types of browsers are for a whole program, and the rest of this one
 * runs on servers.
 */

export interface PageEvent {
  readonly isTrusted: boolean;
  readonly target: unknown;
  preventDefault(): void;
}

export interface PageEvents {
  addEventListener(type: string, listener: (event: PageEvent) => void, options?: ListenerOptions): void;
}

export interface ListenerOptions {
  readonly signal?: AbortSignal;
  readonly capture?: boolean;
  readonly passive?: boolean;
}

export interface PageElement extends PageEvents {
  textContent: string | null;
  className: string;
  hidden: boolean;
  append(...children: PageElement[]): void;
  replaceChildren(...children: PageElement[]): void;
  setAttribute(name: string, value: string): void;
  removeAttribute(name: string): void;
  contains(other: unknown): boolean;
  focus(): void;
  remove(): void;
}

export interface PageDialog extends PageElement {
  readonly open: boolean;
  readonly isConnected: boolean;
  showModal(): void;
  close(): void;
}

interface StyleSheet {
  replaceSync(text: string): void;
}

interface PageDocument extends PageEvents {
  readonly visibilityState: "visible" | "hidden";
  readonly documentElement: PageElement;
  readonly body: PageElement;
  adoptedStyleSheets: readonly StyleSheet[];
  createElement(name: "dialog"): PageDialog;
  createElement(name: string): PageElement;
}

interface PageWindow extends PageEvents {
  readonly document: PageDocument;
  readonly location: { readonly href: string; readonly origin: string; assign(url: string): void; reload(): void };
  readonly localStorage: { setItem(key: string, value: string): void; removeItem(key: string): void };
  readonly CSSStyleSheet: new () => StyleSheet;
  requestAnimationFrame(work: () => void): void;
}

/** The page's window. Looked up at each use, so that a server can import what a page runs. */
export function page(): PageWindow {
  return globalThis as unknown as PageWindow;
}
