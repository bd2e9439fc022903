/** One tab tells the others: by BroadcastChannel, and where there is none by the events of a storage that they share. */
import { type PageEvent, page } from "./browser-dom.ts";

export interface Tabs<Message> {
  tell(message: Message): void;
  close(): void;
}

/**
 * @param name - Tabs that use one name hear each other, if they are of one origin.
 * @param hear - Whatever has come by that name. Other applications may be of the same origin.
 */
export function joinTabs<Message>(name: string, hear: (message: unknown) => void): Tabs<Message> {
  try {
    const channel = new BroadcastChannel(name);
    channel.addEventListener("message", (event) => hear((event as MessageEvent).data));
    return { tell: (message) => channel.postMessage(message), close: () => channel.close() };
  } catch {
    // This browser has none, or not for this page.
    return joinByStorage(name, hear);
  }
}

/** A storage tells all tabs but the one that wrote, and only of what changed: so nothing is left in it. */
function joinByStorage<Message>(name: string, hear: (message: unknown) => void): Tabs<Message> {
  const left = new AbortController();
  const onStorage = (event: PageEvent): void => {
    const { key, newValue } = event as PageEvent & { readonly key: string | null; readonly newValue: string | null };
    if (key === name) hear(parsed(newValue));
  };
  page().addEventListener("storage", onStorage, { signal: left.signal });
  return { tell: (message) => write(name, JSON.stringify(message)), close: () => left.abort() };
}

function write(name: string, text: string): void {
  try {
    const { localStorage } = page();
    localStorage.setItem(name, text);
    localStorage.removeItem(name);
  } catch {
    // It is full, or forbidden: the other tabs ask by themselves, only later.
  }
}

function parsed(text: string | null): unknown {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return null;
  }
}
