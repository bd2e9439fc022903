/** A log as somebody serves it who has changed one bit of it. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface SpoiltLog {
  readonly url: string;
  close(): Promise<void>;
}

/** Serves what `url` serves, but for one bit in the middle of what is at `path`. */
export async function serveSpoilt(url: string, path: string): Promise<SpoiltLog> {
  const server = createServer((request, response) => {
    void fetch(`${url}${request.url}`).then(async (original) => {
      const body = Buffer.from(await original.arrayBuffer());
      const middle = body.length >> 1;
      if (request.url === path) body.writeUInt8(body.readUInt8(middle) ^ 1, middle);
      response.writeHead(original.status).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
