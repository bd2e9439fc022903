import { watchSession } from "./tallystick/browser.js";

const part = (id) => document.getElementById(id);
const say = (text) => {
  part("message").textContent = text;
};
const post = async (path, body) =>
  fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
let watch;

async function show() {
  const response = await fetch("/account");
  // It covers the page, until the server has said that the session is alive.
  if (response.ok) watch = watchSession();
  part("sign-in").hidden = response.ok;
  part("account").hidden = !response.ok;
  if (response.ok) part("user").textContent = (await response.json()).user;
}

async function signIn(form) {
  const response = await post("/api/auth/sign-in/email", Object.fromEntries(new FormData(form)));
  say(response.ok ? "" : (await response.json()).message);
  await show();
}

async function exportAll() {
  const response = await watch.fetch("/export", { method: "POST" });
  const { code, title } = response.ok ? { code: "", title: "" } : await response.json();
  if (response.ok) part("file").textContent = await response.text();
  part("step-up").hidden = code !== "reauth-required";
  say(title);
}

async function confirm(form) {
  const response = await post("/api/auth/tallystick/reauth", Object.fromEntries(new FormData(form)));
  if (response.ok) await exportAll();
  else say((await response.json()).message);
}

part("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  void signIn(event.target);
});
part("step-up").addEventListener("submit", (event) => {
  event.preventDefault();
  void confirm(event.target);
});
part("export").addEventListener("click", () => void exportAll());
part("sign-out").addEventListener("click", () => void watch.signOut());
await show();
