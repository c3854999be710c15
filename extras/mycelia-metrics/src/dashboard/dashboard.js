// The dashboard: takes a snapshot a second, keeps the last two hours, and draws them.
// Names come from outside: they go into the page as text only.
"use strict";

const KEPT = 7200;
const byId = (id) => document.getElementById(id);
const token = new URLSearchParams(location.search).get("token");
const withToken = (path) => (token ? `${path}${path.includes("?") ? "&" : "?"}token=${encodeURIComponent(token)}` : path);

// ---- numbers as text

function count(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return "–";
  const size = Math.abs(n);
  if (size >= 1e9) return `${(n / 1e9).toFixed(2)} G`;
  if (size >= 1e6) return `${(n / 1e6).toFixed(2)} M`;
  if (size >= 1e4) return `${(n / 1e3).toFixed(1)} k`;
  return size >= 100 || Number.isInteger(n) ? Math.round(n).toString() : n.toFixed(1);
}

function time(seconds) {
  if (!seconds) return "–";
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  if (seconds >= 1e-3) return `${(seconds * 1e3).toFixed(seconds >= 1e-1 ? 0 : 1)} ms`;
  if (seconds >= 1e-6) return `${(seconds * 1e6).toFixed(seconds >= 1e-4 ? 0 : 1)} µs`;
  return `${Math.round(seconds * 1e9)} ns`;
}

function bytes(n) {
  if (!n) return "–";
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) {
    if (n >= size) return `${(n / size).toFixed(n >= 100 * size ? 0 : 1)} ${unit}`;
  }
  return `${n} B`;
}

function clock(seconds) {
  const [from, to] = window_();
  const style = { hour: "2-digit", minute: "2-digit", hour12: false, ...(to - from < 300 ? { second: "2-digit" } : {}) };
  return new Date(seconds * 1000).toLocaleTimeString("en", style);
}

const percent = (share) => (share ? `${(share * 100).toFixed(share >= 0.1 ? 0 : 1)} %` : "0 %");

function span(seconds) {
  const [d, h, m] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} min`;
  return m ? `${m} min` : `${Math.floor(seconds)} s`;
}

// ---- what is derived from two snapshots

const LOST = ["failed", "evicted", "discarded", "expired", "undelivered"];
const lost = (ledger) => LOST.reduce((sum, fate) => sum + ledger[fate], 0);

function rates(now, before) {
  const seconds = before ? now.at - before.at : 0;
  const rate = (of) => (seconds > 0 ? Math.max(0, of(now) - of(before)) / seconds : null);
  const handled = rate((s) => s.ledger.handled);
  const failed = rate((s) => s.ledger.failed);
  return {
    handled, failed,
    lost: Object.fromEntries(LOST.map((fate) => [fate, rate((s) => s.ledger[fate])])),
    returned: rate((s) => s.ledger.returned),
    errors: handled + failed > 0 ? failed / (handled + failed) : 0,
    cpu: rate((s) => s.process.cpu_seconds),
    restarts: rate((s) => s.ledger.restarts),
  };
}

const history = []; // {snapshot, rates, subsystems: Map(name -> {snapshot, rate})}

function remember(snapshot) {
  const last = history.at(-1);
  const before = last && last.snapshot.at < snapshot.at && last.snapshot.uptime < snapshot.uptime ? last : null;
  if (last && !before) history.length = 0; // another process
  const subsystems = new Map();
  for (const one of snapshot.subsystems) {
    const was = before?.subsystems.get(key(one))?.of;
    const seconds = before ? snapshot.at - before.snapshot.at : 0;
    const done = (s) => s.ledger.handled + s.ledger.failed;
    subsystems.set(key(one), { of: one, rate: was ? Math.max(0, done(one) - done(was)) / seconds : null });
  }
  history.push({ snapshot, rates: rates(snapshot, before?.snapshot), subsystems });
  if (history.length > KEPT) history.shift();
  // Of older ones the totals are enough.
  if (history.length > 1800) { const old = history[history.length - 1801]; old.subsystems = new Map(); old.snapshot = { ...old.snapshot, subsystems: [] }; }
}

const key = (one) => `${one.name} ${one.parent ?? ""}`;

// ---- tiles

const tiles = {};

function tile(id, label, value, note = "", level = "") {
  let made = tiles[id];
  if (!made) {
    const element = document.createElement("div");
    made = tiles[id] = { element };
    for (const part of ["label", "value", "note"]) {
      made[part] = element.appendChild(document.createElement("div"));
      made[part].className = part;
    }
    made.value.id = `tile-${id}`;
    byId("tiles").append(element);
  }
  made.element.className = `tile ${level}`;
  made.label.textContent = label;
  made.value.textContent = value;
  made.note.textContent = note;
}

function showTiles({ snapshot: s, rates: r }) {
  const fill = s.ledger.capacity ? s.ledger.queued / s.ledger.capacity : 0;
  const drops = LOST.reduce((sum, fate) => sum + (r.lost[fate] ?? 0), 0);
  tile("rate", "messages / s", count(r.handled), `${count(s.ledger.handled)} of ${count(s.ledger.sent)} handled`);
  tile("took", "handling p50", time(s.took.p50), `p95 ${time(s.took.p95)} · p99 ${time(s.took.p99)}`);
  tile("waited", "waiting p50", time(s.waited.p50), `p95 ${time(s.waited.p95)} · p99 ${time(s.waited.p99)}`);
  tile("queued", "queued", count(s.ledger.queued), `room for ${count(s.ledger.capacity)}`, fill >= 1 ? "bad" : fill >= 0.8 ? "warn" : "");
  tile("errors", "errors", percent(r.errors), `${count(s.ledger.failed)} failed`, r.errors >= 0.1 ? "bad" : r.errors >= 0.05 ? "warn" : "");
  tile("lost", "lost / s", count(drops), `${count(lost(s.ledger))} dead letters`, drops > 0 ? "warn" : "");
  tile("restarts", "restarts", count(s.ledger.restarts), r.restarts > 0 ? "just now" : "", r.restarts > 0 ? "warn" : "");
  tile("memory", "memory", bytes(s.process.resident_bytes), `slots: ${count(s.pool.in_use)} of ${count(s.pool.created)}`);
  tile("cpu", "processor", r.cpu === null ? "–" : percent(r.cpu), `${s.tokio.workers} workers, ${count(s.tokio.alive_tasks)} tasks`);
}

// ---- charts

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const sync = uPlot.sync("all");
const charts = [];
let zoomed = null; // [from, to], or the latest

class Chart {
  constructor(into, title, format, series, from) {
    Object.assign(this, { format, series, from });
    this.element = document.createElement("div");
    this.element.className = "chart";
    const caption = this.element.appendChild(document.createElement("div"));
    caption.className = "title";
    caption.appendChild(document.createElement("span")).textContent = title;
    const keys = caption.appendChild(document.createElement("div"));
    keys.className = "keys";
    this.values = series.map(([name, color]) => {
      const item = keys.appendChild(document.createElement("span"));
      const line = item.appendChild(document.createElement("i"));
      line.style.background = `var(${color})`;
      item.append(`${name} `);
      return item.appendChild(document.createElement("b"));
    });
    this.plot = this.element.appendChild(document.createElement("div"));
    into.append(this.element);
    this.draw();
    this.watch = new ResizeObserver(() => this.u.setSize(this.size()));
    this.watch.observe(this.element);
  }

  size() {
    return { width: Math.max(200, this.element.clientWidth - 24), height: 170 };
  }

  draw() {
    this.u?.destroy();
    const axis = { stroke: css("--quiet"), grid: { stroke: css("--grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    this.u = new uPlot({
      ...this.size(),
      legend: { show: false },
      cursor: { sync: { key: sync.key }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
      scales: { x: { time: true, range: () => window_() }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.12 : 1] } },
      axes: [{ ...axis, size: 26, space: 70, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => (tick ? this.format(tick) : "0")) }],
      series: [{}, ...this.series.map(([name, color, dash]) => ({
        label: name, stroke: css(color), width: 1.6, dash, points: { show: false },
        fill: this.series.length === 1 ? `${css(color)}22` : undefined,
      }))],
      hooks: {
        setSelect: [(u) => {
          if (u.select.width > 4) {
            zoomed = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
            u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
            redraw();
          }
        }],
        setCursor: [(u) => this.showAt(u.cursor.idx)],
      },
    }, this.data(), this.plot);
    this.plot.ondblclick = () => { zoomed = null; redraw(); };
    this.showAt(null);
  }

  data() {
    const rows = shown().map((entry) => this.from(entry));
    return [shown().map((entry) => entry.snapshot.at), ...this.series.map((_, place) => rows.map((row) => row?.[place] ?? null))];
  }

  showAt(place) {
    const data = this.u?.data;
    if (!data) return;
    const at = place ?? data[0].length - 1;
    this.values.forEach((value, which) => { value.textContent = this.format(data[which + 1][at] ?? 0); });
  }

  update() {
    this.u.setData(this.data());
    if (this.u.cursor.left < 0) this.showAt(null);
  }

  end() {
    this.watch.disconnect();
    this.u.destroy();
    this.element.remove();
  }
}

let seconds = 300;
let held = null; // how many entries there were when it was paused

const shown = () => (held === null ? history : history.slice(0, held));

function window_() {
  if (zoomed) return zoomed;
  const to = shown().at(-1)?.snapshot.at ?? Date.now() / 1000;
  // Not much more than there is to see.
  return [Math.max(to - seconds, Math.min(shown()[0]?.snapshot.at ?? to, to - 60)), to];
}

function makeCharts() {
  const into = byId("charts");
  const add = (...chart) => charts.push(new Chart(into, ...chart));
  add("Messages / s", count, [["handled", "--c1"], ["failed", "--c5"]], ({ rates: r }) => [r.handled, r.failed]);
  add("Handling", time, [["p50", "--c1"], ["p95", "--c2"], ["p99", "--c3"]], ({ snapshot: { took } }) => [took.p50, took.p95, took.p99]);
  add("Waiting in the mailbox", time, [["p50", "--c1"], ["p95", "--c2"], ["p99", "--c3"]], ({ snapshot: { waited } }) => [waited.p50, waited.p95, waited.p99]);
  add("Queued", count, [["messages", "--c2"], ["senders waiting", "--c3"]], ({ snapshot: { ledger } }) => [ledger.queued, ledger.waiting]);
  add("Not handled / s", count, [["evicted", "--c3"], ["discarded", "--c4"], ["expired", "--c2"], ["undelivered", "--c6"], ["returned", "--c1"]],
    ({ rates: r }) => [r.lost.evicted, r.lost.discarded, r.lost.expired, r.lost.undelivered, r.returned]);
  add("Restarts / s", count, [["restarts", "--c5"]], ({ rates: r }) => [r.restarts]);
  add("Memory", bytes, [["resident", "--c2"]], ({ snapshot: { process } }) => [process.resident_bytes]);
  add("Processor", percent, [["used, of one core", "--c4"]], ({ rates: r }) => [r.cpu]);
}

// ---- subsystems

/** Parents first, each followed by its children. */
function tree(subsystems) {
  const names = new Set(subsystems.map((one) => one.name));
  const below = Map.groupBy ? Map.groupBy(subsystems, parentOf) : group(subsystems);
  function parentOf(one) { return one.parent !== null && names.has(one.parent) && one.parent !== one.name ? one.parent : null; }
  function group(all) { const map = new Map(); for (const one of all) map.set(parentOf(one), [...(map.get(parentOf(one)) ?? []), one]); return map; }
  const rows = [];
  const seen = new Set();
  const visit = (one, lines, last) => {
    if (seen.has(one)) return;
    seen.add(one);
    rows.push([one, lines === null ? "" : `${lines}${last ? "└ " : "├ "}`]);
    const children = below.get(one.name) ?? [];
    children.forEach((child, place) => visit(child, lines === null ? "" : `${lines}${last ? "  " : "│ "}`, place === children.length - 1));
  };
  for (const root of below.get(null) ?? []) visit(root, null, true);
  for (const one of subsystems) visit(one, null, true);
  return rows;
}

function cell(row, text, className) {
  const made = row.appendChild(document.createElement("td"));
  made.className = className ?? "";
  if (text !== undefined) made.textContent = text;
  return made;
}

const short = (one) => {
  if (one.count === 1 && !one.name.includes("::")) return one.name;
  const plain = one.name.replace(/<.*/, "").split("::").at(-1);
  return `${plain} × ${one.count}`;
};

function showSubsystems(entry) {
  const { snapshot, subsystems } = entry;
  const wanted = byId("filter").value.toLowerCase();
  const body = document.createElement("tbody");
  let places = 0;
  for (const [one, twig] of tree(snapshot.subsystems)) {
    if (wanted && !one.name.toLowerCase().includes(wanted)) continue;
    if (++places > 500) break;
    const row = body.insertRow();
    row.dataset.name = one.name;
    row.tabIndex = 0;
    row.title = one.reasons.join("; ") || one.name;
    const open = () => showDetail(key(one));
    row.onclick = open;
    row.onkeydown = (event) => { if (event.key === "Enter") open(); };
    const name = cell(row);
    if (!wanted && twig) { const lines = name.appendChild(document.createElement("span")); lines.className = "twig"; lines.textContent = twig; }
    const dot = name.appendChild(document.createElement("span"));
    dot.className = `dot ${one.health}`;
    name.append(short(one));
    cell(row, one.state, "quiet");
    cell(row, count(subsystems.get(key(one))?.rate ?? null), "n");
    const fill = one.ledger.capacity ? one.ledger.queued / one.ledger.capacity : 0;
    const mailbox = cell(row);
    const bar = mailbox.appendChild(document.createElement("span"));
    bar.className = `bar ${fill >= 1 ? "full" : fill >= 0.8 ? "high" : ""}`;
    bar.appendChild(document.createElement("span")).style.width = `${Math.min(100, fill * 100)}%`;
    mailbox.append(`${count(one.ledger.queued)} / ${count(one.ledger.capacity)}`);
    cell(row, time(one.waited.p95), "n");
    cell(row, time(one.took.p50), "n");
    cell(row, time(one.took.p99), "n");
    cell(row, count(one.ledger.failed), one.ledger.failed ? "n hot" : "n quiet");
    const others = lost(one.ledger) - one.ledger.failed;
    cell(row, count(others), others ? "n" : "n quiet");
    cell(row, count(one.ledger.restarts), one.ledger.restarts ? "n" : "n quiet");
  }
  byId("subsystems").tBodies[0].replaceWith(body);
  const hidden = snapshot.not_shown ? `, ${snapshot.not_shown} more only in the totals` : "";
  byId("count").textContent = `${count(snapshot.alive)} alive${hidden}`;
}

// ---- one subsystem

let detail = null; // its key
let detailCharts = [];

function showDetail(which) {
  detail = which;
  detailCharts.forEach((chart) => chart.end());
  const of = (entry) => entry.subsystems.get(which);
  const dialog = byId("detail");
  if (!dialog.open) dialog.showModal();
  const add = (...chart) => new Chart(byId("detail-charts"), ...chart);
  detailCharts = [
    add("Messages / s", count, [["handled", "--c1"]], (entry) => [of(entry)?.rate]),
    add("Queued", count, [["messages", "--c2"], ["room for", "--c6", [4, 4]]], (entry) => [of(entry)?.of.ledger.queued, of(entry)?.of.ledger.capacity]),
    add("Handling", time, [["p50", "--c1"], ["p95", "--c2"], ["p99", "--c3"]], (entry) => { const took = of(entry)?.of.took; return [took?.p50, took?.p95, took?.p99]; }),
    add("Waiting", time, [["p50", "--c1"], ["p95", "--c2"], ["p99", "--c3"]], (entry) => { const waited = of(entry)?.of.waited; return [waited?.p50, waited?.p95, waited?.p99]; }),
  ];
  fillDetail();
  fillTypes();
}

function fill(id, rows) {
  const body = document.createElement("tbody");
  for (const cells of rows) {
    const row = body.insertRow();
    cells.forEach((text) => cell(row, text));
  }
  byId(id).tBodies[0].replaceWith(body);
}

function fillDetail() {
  const one = shown().at(-1)?.subsystems.get(detail)?.of;
  byId("detail-name").textContent = one ? short(one) : `${detail.split(" ")[0]} has ended`;
  byId("detail-health").textContent = one?.health ?? "";
  byId("detail-health").className = `pill ${one?.health ?? ""}`;
  byId("detail-reasons").textContent = one?.reasons.join("; ") ?? "";
  if (!one) return;
  const { ledger, took, waited } = one;
  const columns = ["sent", "handled", ...LOST, "returned", "queued", "in_hand", "waiting", "capacity", "restarts"];
  fill("detail-ledger", columns.map((name) => [name.replace("_", " "), ledger[name].toLocaleString("en")]));
  fill("detail-asks", Object.entries(one.asks).map(([end, n]) => [end, n.toLocaleString("en")]));
  const times = (name, of) => ["p50", "p95", "p99", "max"].map((at) => [`${name} ${at}`, time(of[at])]);
  fill("detail-times", [...times("took", took), ...times("waited", waited)]);
}

async function fillTypes() {
  const which = detail;
  const answer = await fetch(withToken("api/snapshot?message_types=true")).catch(() => null);
  if (!answer?.ok || which !== detail) return;
  const one = (await answer.json()).subsystems.find((one) => key(one) === which);
  const rows = (one?.message_types ?? []).map(({ name, took }) => [name, `≈ ${count(took.count)}`, time(took.p50), time(took.p95), time(took.p99), time(took.max)]);
  fill("detail-types", [["type", "messages", "p50", "p95", "p99", "max"], ...rows]);
}

// ---- all together

function redraw() {
  const last = shown().at(-1);
  if (!last) return;
  byId("health").textContent = last.snapshot.health;
  byId("health").className = `pill ${last.snapshot.health}`;
  byId("since").textContent = `up ${span(last.snapshot.uptime)}`;
  document.title = last.snapshot.health === "healthy" ? "Mycelia" : `● ${last.snapshot.health} – Mycelia`;
  showTiles(last);
  charts.forEach((chart) => chart.update());
  if (!byId("subsystems").contains(document.activeElement) || held === null) showSubsystems(last);
  if (detail !== null) { detailCharts.forEach((chart) => chart.update()); fillDetail(); }
  document.body.dataset.at = last.snapshot.at;
}

function pause(on) {
  held = on ? history.length : null;
  byId("pause").setAttribute("aria-pressed", String(on));
  byId("pause").textContent = on ? "Go on" : "Pause";
  if (!on) zoomed = null;
  redraw();
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  [...charts, ...detailCharts].forEach((chart) => chart.draw());
}

function connect() {
  const source = new EventSource(withToken("api/live"));
  source.onmessage = (event) => {
    byId("connection").textContent = "";
    remember(JSON.parse(event.data));
    if (held === null) redraw();
  };
  source.onerror = () => {
    byId("connection").textContent = "no connection – trying again";
    source.close();
    setTimeout(connect, 2000);
  };
}

const dark = matchMedia("(prefers-color-scheme: dark)");
theme(dark.matches ? "dark" : "light");
dark.onchange = () => theme(dark.matches ? "dark" : "light");
byId("theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
byId("pause").onclick = () => pause(held === null);
byId("filter").oninput = () => { const last = shown().at(-1); if (last) showSubsystems(last); };
byId("close").onclick = () => byId("detail").close();
byId("detail").onclose = () => { detail = null; detailCharts.forEach((chart) => chart.end()); detailCharts = []; };
byId("range").onclick = ({ target }) => {
  if (!target.dataset.seconds) return;
  seconds = Number(target.dataset.seconds);
  zoomed = null;
  for (const button of byId("range").children) button.setAttribute("aria-pressed", String(button === target));
  redraw();
};
document.onkeydown = (event) => {
  if (event.key === " " && !["INPUT", "BUTTON"].includes(event.target.tagName)) { event.preventDefault(); pause(held === null); }
};
makeCharts();
connect();
