/** The application as a process of its own, over a SQLite file; says where it listens, and sets its store's clock as told. */
import { createTestTallystick } from "@tallystick/testing";
import { createSessions } from "@tallystick/sessions";
import { openSqliteSessionStore } from "@tallystick/sessions/sqlite";
import { FRAMEWORKS } from "./web-app.ts";
import { LIMITS } from "./web-scene.ts";

const [framework = "", path = "", nowText = "0"] = process.argv.slice(2);
let now = Number(nowText);

const tally = createTestTallystick();
const store = path === "" ? {} : { store: await openSqliteSessionStore(path, { now: () => now }) };
const sessions = createSessions(tally, { ...LIMITS, ...store, sweepIntervalMs: 0 });
const app = await FRAMEWORKS[framework]?.({ sessions, log: tally });
process.on("message", (to: number) => {
  now = to;
  process.send?.({ now });
});
process.on("disconnect", () => process.exit());
process.send?.({ url: app?.url });
