/** One tab tells the others: by BroadcastChannel, and where there is none by the events of a storage that they share. */
import { type PageEvent, page } from "./browser-dom.ts";

export interface Tabs<Message> {
  tell(message: Message): void;
  close(): void;
}

/** @param name - Tabs that use one name hear each other, if they are of one origin. */
export function joinTabs<Message>(name: string, hear: (message: Message) => void): Tabs<Message> {
  if (typeof BroadcastChannel === "undefined") return joinByStorage(name, hear);
  const channel = new BroadcastChannel(name);
  channel.addEventListener("message", (event) => hear((event as MessageEvent).data as Message));
  return { tell: (message) => channel.postMessage(message), close: () => channel.close() };
}

/** A storage tells all tabs but the one that wrote, and only of what changed: so each message bears a number. */
function joinByStorage<Message>(name: string, hear: (message: Message) => void): Tabs<Message> {
  const left = new AbortController();
  const onStorage = (event: PageEvent): void => {
    const { key, newValue } = event as PageEvent & { readonly key: string | null; readonly newValue: string | null };
    if (key === name && newValue !== null) hear((JSON.parse(newValue) as { readonly message: Message }).message);
  };
  page().addEventListener("storage", onStorage, { signal: left.signal });
  return {
    tell: (message) => page().localStorage.setItem(name, JSON.stringify({ message, number: Math.random() })),
    close: () => left.abort(),
  };
}
