/** An HTTP server that answers whatever a test says: a log that is broken, hostile, or none at all. */
import { once } from "node:events";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";

export interface ScriptedLog {
  readonly url: string;
  /** Every request so far: its method, path and authorization. */
  readonly requests: readonly string[];
  answer: (request: IncomingMessage, response: ServerResponse) => void;
  close(): Promise<void>;
}

export async function startScriptedLog(): Promise<ScriptedLog> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url} ${request.headers.authorization ?? "-"}`);
    request.resume();
    response.on("error", () => undefined);
    log.answer(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const log: ScriptedLog = {
    url: `http://127.0.0.1:${address.port}/app`,
    requests,
    answer: (_request, response) => void response.writeHead(404).end(),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return log;
}
