// Polls the statistics of the store, and draws the last minute of them.

import { drawMemory, drawSessions, inMB, Levels, whole } from "./charts.js";

const EVERY = 2000; // milliseconds
const $ = (id) => document.getElementById(id);
const shown = (number) => (number === null ? "–" : whole(number));
const levels = new Levels($("levels"));
let samples = [];

async function poll() {
  if (document.hidden) return;
  let sample;
  try {
    const response = await fetch("stats", { redirect: "error" });
    sample = response.ok ? await response.json() : null;
  } catch {
    sample = null;
  }
  const works = sample !== null && sample.available !== false;
  $("connection").classList.toggle("on", works);
  $("connection").textContent = works ? "live" : "no connection";
  if (works) show({ ...sample, at: performance.now() / 1000 });
}

function show(last) {
  samples = [...samples, last].filter((sample) => sample.at > last.at - 61);
  for (const [id, text] of [
    ["session-count", shown(last.sessions)],
    ["used", last.used === null ? "–" : inMB(last.used)],
    ["of-max", last.max ? `of ${inMB(last.max)} MB` : "MB"],
    ["expired", shown(last.expired)],
    ["evicted", shown(last.evicted)],
  ]) $(id).textContent = text;
  $("tiers").hidden = !last.tiers;
  if (last.tiers) levels.draw(last);
  $("note").textContent = [
    last.rss && `the whole process: ${Math.round(last.rss / 1024 / 1024)} MB`,
    typeof last.survives === "number" && `a new visitor's session survives ${Math.floor(last.survives)} s`,
  ].filter(Boolean).join(" · ");
  draw();
}

function draw() {
  const last = samples.at(-1);
  if (!last) return;
  if (last.tiers) {
    $("memory-title").textContent = "Memory over the last minute";
    $("memory-text").textContent = `${inMB(last.used)} MB of ${inMB(last.max)} MB.`;
    drawMemory($("memory"), samples);
  } else if (last.sessions !== null) {
    $("memory-title").textContent = "Sessions over the last minute";
    $("memory-text").textContent = `${whole(last.sessions)} sessions.`;
    drawSessions($("memory"), samples);
  }
}

new ResizeObserver(draw).observe($("memory"));
document.addEventListener("visibilitychange", poll);
setInterval(poll, EVERY);
poll();
