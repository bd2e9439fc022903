/** The thread of an HTTP server: it reads requests and writes answers; what they say is the application's, in the main thread. */
import { parentPort, workerData } from "node:worker_threads";
import { Channel } from "./channel.ts";
import { HttpServer, type ListenOptions } from "./http-server.ts";
import { RemoteApp } from "./remote-app.ts";
import type { FromHttp, HttpThreadData, ToHttp } from "./thread-messages.ts";

if (parentPort === null) throw new Error("expected to be run as a worker thread");
const { limits, tls: tlsData } = workerData as HttpThreadData;
// Only where it is needed: it brings the storage along. Of trouble with the files the main thread tells, which looks at them too.
const tls =
  tlsData === undefined
    ? undefined
    : await (await import("../tls.ts")).openTlsFiles(tlsData.config, { dir: tlsData.dir, onTrouble: () => undefined });
const channel: Channel<FromHttp, ToHttp> = new Channel(parentPort, (messages, bytes) => {
  for (const message of messages) receive(message, bytes);
});
const app = new RemoteApp(channel);
const server = new HttpServer(app, {
  limits,
  tls,
  onTrouble: (message, details) => channel.send(["trouble", message, details]),
});

function receive(message: ToHttp, bytes: Uint8Array<ArrayBuffer>): void {
  if (message[0] === "listen") return void listen(message[1]);
  if (message[0] === "end") return void server.end().then(() => channel.send(["ended"]));
  if (message[0] !== "stop") return app.receive(message, bytes);
  server.stop();
  return tls?.close();
}

async function listen(options: ListenOptions): Promise<void> {
  try {
    channel.send(["listening", await server.listen(options)]);
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    channel.send(["unable", { message, code }]);
  }
}
