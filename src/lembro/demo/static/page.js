// The page gets the visitor's state from /me, posts the actions, and shows the events of /live.

import { drawMemory, inMB, Levels, whole } from "./charts/charts.js";

const $ = (id) => document.getElementById(id);
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const BURST = 20;
const shared = document.documentElement.dataset.store; // the store's class, if workers share it
const workers = new Map(); // how many requests each one has answered

let me = { user: null, counted: 0 }; // the last answer of /me

// -- asking and posting ------------------------------------------------------------------------

async function post(path, data = {}) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(data),
  });
  note(response);
  if (!response.ok) say(await response.text());
  return response.ok;
}

/** Post, then show the result. */
async function act(path, data) {
  try {
    await post(path, data);
    await refresh();
  } catch {
    say("The server does not answer.");
  }
}

async function refresh() {
  const response = await fetch("/me");
  note(response);
  const now = await response.json();
  const before = me;
  me = now;
  showVisitor();
  showTray();
  if (me.messages.length) say(me.messages.join(" "));
  else if (before.user && !me.user) say("Your session was ended in another browser, or it expired.");
}

/** Note which worker has answered, and show it. */
function note(response) {
  const worker = response.headers.get("x-worker");
  workers.set(worker, (workers.get(worker) ?? 0) + 1);
  const all = [...workers].map(([id, count]) => `${id} (${whole(count)})`).join(", ");
  $("worker").textContent = `Answered by worker ${worker}. Requests of this page: ${all}.`;
}

let fading;
function say(text) {
  $("message").textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => ($("message").textContent = ""), 6000);
}

// -- the visitor -------------------------------------------------------------------------------

function showVisitor() {
  const known = me.user !== null;
  $("who").textContent = known
    ? `You are logged in as ${me.user}.`
    : "You are anonymous. Your session holds the tray below, and keeps it when you log in.";
  $("login").hidden = known;
  $("mine").hidden = !known;
  $("sessions").replaceChildren(...me.sessions.map(sessionRow));
  $("idle").textContent = span(me.idle_timeout);
}

function sessionRow(session) {
  const row = document.createElement("li");
  const what = document.createElement("span");
  const details = document.createElement("small");
  const handle = document.createElement("span");
  what.className = "what";
  what.textContent = browserName(session.browser);
  handle.textContent = session.handle;
  details.append(handle, ` · ${span(session.age)} old · idle ${span(session.idle)}`);
  what.append(details);
  row.append(what);
  if (session.current) {
    const badge = document.createElement("span");
    badge.className = "badge";
    badge.textContent = "this one";
    row.append(badge);
  } else {
    const end = document.createElement("button");
    end.className = "quiet";
    end.textContent = "End";
    end.setAttribute("aria-label", `End session ${session.handle}`);
    end.addEventListener("click", () => act(`/sessions/${session.handle}/end`));
    row.append(end);
  }
  return row;
}

function browserName(agent) {
  const find = (names) => names.find(([sign]) => agent.includes(sign))?.[1];
  const browser = find([
    ["Edg/", "Edge"], ["Firefox/", "Firefox"], ["Chrome/", "Chrome"], ["Safari/", "Safari"],
  ]);
  const system = find([
    ["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"],
    ["Windows", "Windows"], ["Mac OS", "macOS"], ["Linux", "Linux"],
  ]);
  return [browser ?? "A browser", system].filter(Boolean).join(" on ");
}

const span = (seconds) =>
  (seconds < 100 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`);

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  act("/login", { name: $("name").value, remember: $("remember").checked });
});
function showLoginCode() {
  const more = $("remember").checked ? ", remember=True" : "";
  $("login-code").textContent = `session.login(name${more})`;
}
$("remember").addEventListener("change", showLoginCode);
showLoginCode(); // a browser may keep the checkbox ticked after a reload

for (const chip of document.querySelectorAll("[data-name]")) {
  chip.addEventListener("click", () => {
    $("name").value = chip.dataset.name;
    $("login").requestSubmit();
  });
}
for (const button of document.querySelectorAll("[data-post]")) {
  button.addEventListener("click", () => act(button.dataset.post));
}

// -- the tray ----------------------------------------------------------------------------------

function showTray() {
  const things = Object.entries(me.tray);
  const total = things.reduce((sum, [, number]) => sum + number, 0);
  $("tray-lead").textContent = total
    ? `${whole(total)} on the tray. The counter says ${whole(me.counted)}.`
    : "It is empty.";
  $("tray").replaceChildren(...things.map(([thing, number]) => {
    const row = document.createElement("li");
    const times = document.createElement("b");
    times.textContent = `${number} ×`;
    row.append(times, ` ${thing}`);
    return row;
  }));
}

const order = (thing) => `/tray/${encodeURIComponent(thing)}`;
const menu = [...document.querySelectorAll("[data-order]")];
for (const button of menu) {
  button.addEventListener("click", () => act(order(button.dataset.order)));
}

$("burst").addEventListener("click", async () => {
  $("burst").disabled = true;
  $("burst-result").textContent = "";
  try {
    const things = Array.from({ length: BURST }, (_, i) => menu[i % menu.length].dataset.order);
    const answers = await Promise.all(things.map((thing) => post(order(thing))));
    await refresh();
    const arrived = answers.filter(Boolean).length;
    $("burst-result").textContent = `${arrived} of ${BURST} arrived`;
  } catch {
    say("The server does not answer.");
  }
  $("burst").disabled = false;
});

// -- the store ---------------------------------------------------------------------------------

let stream;
let samples = [];
let drawn = 0;
const levels = new Levels($("levels"));

/** (Re)open the stream of events. A hidden page has none, because a browser opens only six
 * connections to a server. */
function watch() {
  stream?.close();
  stream = undefined;
  if (document.hidden) return;
  let first = true;
  stream = new EventSource("/live");
  stream.addEventListener("open", () => {
    first = true;
    connected(true);
  });
  stream.addEventListener("error", () => connected(false)); // the browser reconnects automatically
  stream.addEventListener("message", ({ data }) => {
    const news = JSON.parse(data);
    samples = first ? news.samples : [...samples, ...news.samples].slice(-241);
    first = false;
    showStore();
    showBots(news.bots);
    follow(news.you);
  });
}

/** Refresh the page if another tab or browser has changed or ended our session. A login also ends
 * the session before it. */
async function follow(you) {
  if (you?.user === me.user && you?.counted === me.counted) return;
  if (!you) stream.close();
  await refresh().catch(() => {});
  if (!you) setTimeout(watch, 300); // with the new cookie
}

function connected(yes) {
  $("connection").classList.toggle("on", yes);
  $("connection").textContent = yes ? "live" : "no connection";
}

function showStore() {
  const last = samples.at(-1);
  if (!last) return;
  $("used").textContent = last.used === null ? "–" : inMB(last.used);
  $("of-max").textContent = last.max ? `of ${last.max / 1024 / 1024} MB` : "MB";
  for (const [id, number] of [
    ["session-count", last.sessions], ["expired", last.expired], ["evicted", last.evicted],
  ]) $(id).textContent = number === null ? "–" : whole(number);
  if (shared) return;
  $("note").textContent = [
    last.rss && `the whole process: ${Math.round(last.rss / 1024 / 1024)} MB`,
    last.survives !== null && `a new visitor's session survives about ${span(last.survives)}`,
  ].filter(Boolean).join(" · ");
  if (calm.matches && last.at - drawn < 1 && last.at > drawn) return;
  drawn = last.at;
  drawMemory($("memory"), samples);
  levels.draw(last);
  const peak = Math.max(...samples.map((sample) => sample.used));
  $("memory-text").textContent =
    `${inMB(last.used)} MB now, at most ${inMB(peak)} MB in the last minute, of ${last.max / 1024 / 1024} MB.`;
}

new ResizeObserver(() => drawMemory($("memory"), samples)).observe($("memory"));

// -- the bots ----------------------------------------------------------------------------------

let flooding = false;

$("send-bots").addEventListener("click", () => {
  $("send-bots").disabled = true;
  $("verdict").textContent = "";
  act("/bots");
});

function showBots(bots) {
  $("send-bots").disabled = Boolean(bots?.running);
  if (!bots) return;
  $("progress").max = bots.total;
  $("progress").value = bots.sent;
  $("progress-text").textContent = `${whole(bots.sent)} of ${whole(bots.total)}`;
  if (flooding && !bots.running) judge(bots);
  flooding = bots.running;
}

/** At the end of a run, show the result, and whether we are still logged in. */
async function judge(bots) {
  const before = me.user;
  await refresh().catch(() => {});
  const max = samples.at(-1).max;
  const you = before === null ? "You were not logged in"
    : me.user === before ? `You are still logged in as ${before}`
    : "You were logged out";
  const kept = bots.regulars - bots.lost - bots.lost_as_newcomers;
  const newcomers = bots.lost_as_newcomers
    ? `; ${bots.lost_as_newcomers} had been known for less than 10 s` : "";
  const bold = (text) => Object.assign(document.createElement("b"), { textContent: text });
  $("verdict").replaceChildren(
    bold(whole(bots.sent)), ` bots came in ${Math.round(bots.seconds)} s, `,
    bold(whole(bots.evicted)), " sessions were evicted, peak ",
    bold(inMB(bots.peak)), ` of ${max / 1024 / 1024} MB. `, bold(you), ".",
    ` ${kept} of ${bots.regulars} regulars kept their session${newcomers}.`,
  );
}

if (shared) {
  $("store-kind").textContent = shared;
  $("used-title").textContent = "used";
}

// -- begin -------------------------------------------------------------------------------------

await refresh().catch(() => say("The server does not answer."));
watch();
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh().catch(() => {});
  watch();
});
// A visible page keeps its session from expiring.
setInterval(() => refresh().catch(() => {}), (me.idle_timeout ?? 60) * 250);
