// What the page knows and how it asks the box. Everything goes through /api/v1.
import { signal } from "./vendor.js";

export const state = signal(null); // what anybody may know: {name, claimed, several_accounts, set_up, now, asked}: the box's clock when ours said `asked`
export const session = signal(null); // {account, role, csrf} while logged in
export const mayChange = () => session.value?.role === "administrator"; // others only look
export const config = signal(null);
export const jobs = signal([]);
export const status = signal(null);
export const lost = signal(false); // the box does not answer

/** A refusal: `message` says what to do. */
export class Problem extends Error {
  constructor(status, error) {
    super(error?.message ?? `The box gave an answer that is not understood (${status}). Reload the page.`);
    this.status = status;
    this.code = error?.code ?? "";
  }
}

export async function ask(method, path, body) {
  const headers = {};
  if (session.value) headers["X-Spirula-CSRF"] = session.value.csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch("/api/v1" + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    lost.value = true;
    throw new Problem(0, { message: "The box does not answer. Check that it is on and connected, then try again." });
  }
  lost.value = false;
  const words = await response.json().catch(() => ({}));
  if (response.ok) return words;
  if (response.status === 401 && words.error?.code === "no_session") leave();
  throw new Problem(response.status, words.error);
}

function leave() {
  events?.close();
  ask("GET", "/state").then((now) => (state.value = { ...state.value, ...now, asked: Date.now() / 1000 }), () => {}); // whether to ask for a name
  session.value = null;
  config.value = null;
}

/** Where we stand: called at the start, and whenever that may have changed. */
export async function refresh() {
  state.value = { ...(await ask("GET", "/state")), asked: Date.now() / 1000 };
  if (!state.value.claimed) return;
  try {
    session.value = await ask("GET", "/session");
  } catch (problem) {
    if (problem.status === 401) return;
    throw problem;
  }
  await enter();
}

async function enter() {
  config.value = await ask("GET", "/config");
  listen();
}

export async function open(path, body) {
  session.value = await ask("POST", path, body);
  state.value = { ...state.value, claimed: true };
  await enter();
}

export async function logOut() {
  await ask("DELETE", "/session");
  leave();
}

let events = null;
function listen() {
  events?.close();
  events = new EventSource("/api/v1/events");
  events.onopen = () => (lost.value = false);
  events.onerror = async () => {
    // The browser tries again by itself unless it was refused.
    if (events.readyState === EventSource.CLOSED) await refresh().catch(() => setTimeout(listen, 3000));
    else lost.value = true;
  };
  events.addEventListener("status", (event) => (status.value = JSON.parse(event.data)));
  events.addEventListener("jobs", async (event) => {
    const before = jobs.value;
    jobs.value = JSON.parse(event.data).jobs;
    const ended = jobs.value.some((job) => job.state !== "running" && before.some((b) => b.id === job.id && b.state === "running"));
    if (ended) config.value = await ask("GET", "/config");
  });
}
