/** Runs the demo beside the log of `npm start`: http://localhost:3000 */
import { randomBytes } from "node:crypto";
import { createTallystick } from "@tallystick/client";
import { openSqliteSessionStore } from "@tallystick/sessions/sqlite";
import { ANN, createDemo, serveDemo } from "./app.ts";

const port = Number(process.env["PORT"] ?? "3000");
const url = `http://localhost:${port}`;
const secret = process.env["BETTER_AUTH_SECRET"] ?? randomBytes(32).toString("hex");
const tally = createTallystick();
const store = await openSqliteSessionStore("sessions.sqlite");
const demo = await createDemo({ tally, store, database: "accounts.sqlite", url, secret });
const server = await serveDemo(demo, port);
process.stdout.write(`${url}: sign in as ${ANN.email} with "${ANN.password}"\n`);

process.once("SIGINT", () => {
  server.close();
  void demo.sessions
    .close()
    .then(async () => store.close())
    .then(async () => tally.close());
});
