// The two charts of the store's statistics: memory as a line in SVG, sessions by tier as bars.

const MB = 1024 * 1024;
const WINDOW = 60; // seconds
const LEVELS = [
  // [index in stats().tiers, name, note]
  [4, "logged in", "evicted last"],
  [3, "known 10 min", ""],
  [2, "known 1 min", ""],
  [1, "known 10 s", ""],
  [0, "new", "evicted first"],
];
const MOST = 10_000; // sessions of the longest bar

export const whole = (number) => number.toLocaleString("en");

/** Bytes as MB with two decimals, never rounded up: 3.999 MB must not look like the limit. */
export const inMB = (bytes) => (Math.floor((bytes / MB) * 100) / 100).toFixed(2);

function svg(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** The bytes in use over the last minute, under the line that they never cross. */
export function drawMemory(root, samples) {
  const max = samples.at(-1)?.max;
  const step = (max ?? 0) / 4;
  draw(root, samples, {
    of: (sample) => sample.used,
    top: max * 1.2,
    marks: [0, 1, 2, 3, 4].map((n) => [step * n, `${(step * n) / MB}${n === 4 ? " MB" : ""}`]),
    cap: max,
  });
}

/** The number of sessions over the last minute. */
export function drawSessions(root, samples) {
  const most = Math.max(4, ...samples.map((sample) => sample.sessions));
  const step = Math.ceil(most / 4);
  draw(root, samples, {
    of: (sample) => sample.sessions,
    top: step * 4.4,
    marks: [0, 1, 2, 3, 4].map((n) => [step * n, whole(step * n)]),
  });
}

function draw(root, samples, { of, top, marks, cap }) {
  const last = samples.at(-1);
  const { width, height } = root.getBoundingClientRect();
  if (!last || !width) return;

  const widest = Math.max(...marks.map(([, text]) => text.length));
  const box = { left: 12 + 7 * Math.max(4, widest), right: width - 10, top: 8, bottom: height - 24 };
  const x = (at) => box.right - ((last.at - at) / WINDOW) * (box.right - box.left);
  const y = (value) => box.bottom - (value / top) * (box.bottom - box.top);
  const parts = [];
  const line = (className, x1, y1, x2, y2) =>
    parts.push(svg("line", { class: className, x1, y1, x2, y2 }));
  const label = (text, x, y, anchor, className = "") =>
    parts.push(svg("text", { class: className, x, y, "text-anchor": anchor }, text));

  if (cap) {
    parts.push(svg("rect", {
      class: "above", x: box.left, y: box.top, width: box.right - box.left, height: y(cap) - box.top,
    }));
  }
  for (const [value, text] of marks) {
    if (value !== cap) line("grid", box.left, y(value), box.right, y(value));
    label(text, box.left - 7, y(value) + 4, "end");
  }
  for (let ago = WINDOW; ago >= 0; ago -= width < 450 ? 30 : 15) {
    const anchor = ago === WINDOW ? "start" : ago === 0 ? "end" : "middle";
    label(ago ? `${ago} s ago` : "now", x(last.at - ago), height - 5, anchor);
  }

  const inside = samples.filter((sample) => x(sample.at) >= box.left);
  const points = inside.map((sample) => `${x(sample.at).toFixed(1)},${y(of(sample)).toFixed(1)}`);
  const first = x(inside[0].at).toFixed(1);
  parts.push(svg("path", {
    class: "area", d: `M${first},${box.bottom}L${points.join("L")}L${box.right},${box.bottom}Z`,
  }));
  parts.push(svg("path", { class: "line", d: `M${points.join("L")}` }));
  if (cap) {
    line("cap", box.left, y(cap), box.right, y(cap));
    label(`max_size: ${cap / MB} MB, never above`, box.left + 8, y(cap) - 9, "start", "cap-label");
  }
  parts.push(svg("circle", { class: "now", cx: box.right, cy: y(of(last)), r: 5 }));

  root.replaceChildren(...parts);
}

function element(className, text = "") {
  const made = document.createElement("div");
  made.className = className;
  made.textContent = text;
  return made;
}

/** One bar for each tier, on a logarithmic scale: a few dozen stay visible next to thousands. */
export class Levels {
  constructor(root) {
    this.rows = LEVELS.map(([index, name, note]) => {
      const row = element("level");
      const [label, bar, number] = [element("name", name), element("bar"), element("number", "–")];
      row.setAttribute("role", "row");
      label.setAttribute("role", "rowheader");
      number.setAttribute("role", "cell");
      bar.setAttribute("role", "presentation");
      if (note) {
        const small = document.createElement("small");
        small.textContent = ` ${note}`;
        label.append(small);
      }
      const fill = document.createElement("i");
      fill.style.background = `var(--level-${index})`;
      bar.append(fill);
      row.append(label, bar, number);
      root.append(row);
      return { index, fill, number };
    });
    root.append(this.scale());
  }

  scale() {
    const scale = element("scale");
    scale.setAttribute("aria-hidden", "true");
    const ticks = element("ticks");
    for (const tick of [0, 10, 100, 1000, MOST]) {
      const mark = document.createElement("span");
      mark.textContent = whole(tick);
      mark.style.left = `${share(tick)}%`;
      ticks.append(mark);
    }
    scale.append(element("unit", "sessions"), ticks);
    return scale;
  }

  draw(sample) {
    for (const { index, fill, number } of this.rows) {
      number.textContent = whole(sample.tiers[index]);
      fill.style.width = `${share(sample.tiers[index])}%`;
    }
  }
}

const share = (count) => Math.min(100, (Math.log10(count + 1) / Math.log10(MOST + 1)) * 100);
