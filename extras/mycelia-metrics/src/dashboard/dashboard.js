// The dashboard: takes a snapshot a second, keeps the last two hours, and draws them.
// Names come from outside: they go into the page as text only.
"use strict";

const KEPT = 7200; // snapshots
const DETAILED = 1800; // of these, with their subsystems
const MOST_ROWS = 500;
const SILENCE = 5; // seconds without an event that are too many
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

const exact = (n) => n.toLocaleString("en");

const clock = (date, seconds) => date.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(seconds ? { second: "2-digit" } : {}) });

/** A place on the axis of time, as the process's clock says it now. */
function tick(at) {
  const [from, to] = window_();
  const last = shown().at(-1);
  const unit = to - from < 300 ? 1 : 60;
  const seconds = last ? at + last.snapshot.at - last.at : at;
  return clock(new Date(Math.round(seconds / unit) * unit * 1000), unit === 1);
}

// Rounded down: 100 % is all.
const percent = (share) => (share ? `${share >= 0.1 ? Math.floor(share * 100 + 1e-6) : (share * 100).toFixed(1)} %` : "0 %");

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
  const seconds = before ? now.uptime - before.uptime : 0;
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

const history = []; // {at, snapshot, rates, subsystems: Map(key -> {of, rate})}; one without a snapshot is a gap

const key = (one) => JSON.stringify([one.name, one.parent]);
const inMailbox = (one) => one.in_mailbox ?? one.ledger.queued;
const start = (snapshot) => snapshot.at - snapshot.uptime;

function remember(snapshot) {
  const last = history.at(-1);
  // An answer begins with the last event of the one before.
  if (last?.snapshot.at === snapshot.at && last.snapshot.uptime === snapshot.uptime) return;
  const isSame = last && snapshot.uptime >= last.snapshot.uptime && Math.abs(start(snapshot) - start(last.snapshot)) < 5;
  // Clocks are set back and forth, `uptime` is not. Between two processes there is only the clock.
  const passed = isSame ? snapshot.uptime - last.snapshot.uptime : last ? Math.max(1, snapshot.at - last.snapshot.at) : 0;
  const at = last ? last.at + passed : snapshot.at;
  let before = isSame ? last : null;
  if (isSame && passed < 0.5) {
    // Too short for a rate: it takes the place of the last.
    history.pop();
    before = history.at(-1);
  } else if (last && (!isSame || passed > SILENCE)) {
    keep({ at: at - passed / 2, subsystems: new Map() });
  }
  const subsystems = new Map();
  for (const one of snapshot.subsystems) {
    const was = before?.subsystems.get(key(one))?.of;
    const done = (s) => s.ledger.handled + s.ledger.failed;
    const rate = was ? Math.max(0, done(one) - done(was)) / (snapshot.uptime - before.snapshot.uptime) : null;
    subsystems.set(key(one), { of: one, rate });
  }
  keep({ at, snapshot, rates: rates(snapshot, before?.snapshot), subsystems });
}

function keep(entry) {
  history.push(entry);
  if (history.length > KEPT) history.shift();
  // Of older ones the totals are enough. They are replaced: a held picture has the old ones still.
  const place = history.length - 1 - DETAILED;
  const old = history[place];
  if (old) history[place] = { ...old, snapshot: old.snapshot && { ...old.snapshot, subsystems: [] }, subsystems: new Map() };
}

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
      axes: [{ ...axis, size: 26, space: 70, values: (_, ticks) => ticks.map(tick) }, { ...axis, size: 62, values: (_, ticks) => ticks.map((n) => (n ? this.format(n) : "0")) }],
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
    const rows = shown().map((entry) => (entry.snapshot ? this.from(entry) : null));
    return [shown().map((entry) => entry.at), ...this.series.map((_, place) => rows.map((row) => row?.[place] ?? null))];
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
let held = null; // the history as it was when it was paused

const shown = () => held ?? history;

function window_() {
  if (zoomed) return zoomed;
  const to = shown().at(-1)?.at ?? Date.now() / 1000;
  // Not much more than there is to see.
  return [Math.max(to - seconds, Math.min(shown()[0]?.at ?? to, to - 60)), to];
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

const short = (one) => {
  if (one.count === 1 && !one.name.includes("::")) return one.name;
  const plain = one.name.replace(/<.*/, "").split("::").at(-1);
  return `${plain} × ${one.count}`;
};

const rows = new Map(); // key -> its row, the same as long as it is listed: it may be pressed, or focused

function showSubsystems({ snapshot, subsystems }) {
  const wanted = byId("filter").value.toLowerCase();
  const found = tree(snapshot.subsystems).filter(([one]) => one.name.toLowerCase().includes(wanted));
  const listed = new Map(found.slice(0, MOST_ROWS).map(([one, twig]) => [key(one), [one, wanted ? "" : twig]]));
  const body = byId("subsystems").tBodies[0];
  const focused = document.activeElement;
  for (const [which, row] of rows) if (!listed.has(which)) { row.remove(); rows.delete(which); }
  let next = body.rows[0] ?? null;
  for (const [which, [one, twig]] of listed) {
    if (!rows.has(which)) rows.set(which, byId("row").content.firstElementChild.cloneNode(true));
    const row = rows.get(which);
    row.dataset.key = which;
    fillRow(row, one, twig, subsystems.get(which)?.rate);
    if (row === next) next = row.nextElementSibling;
    else body.insertBefore(row, next);
  }
  if (focused !== document.activeElement) focused.focus({ preventScroll: true });
  byId("more").textContent = `${found.length - listed.size} more: filter by name`;
  byId("subsystems").tFoot.hidden = found.length === listed.size;
  const hidden = snapshot.not_shown ? `, ${snapshot.not_shown} more only in the totals` : "";
  const unnamed = snapshot.not_exported ? `, ${snapshot.not_exported} without time series in /metrics` : "";
  byId("count").textContent = `${count(snapshot.alive)} alive${hidden}${unnamed}`;
}

function fillRow(row, one, twig, rate) {
  const { cells } = row;
  row.title = one.reasons.join("; ") || one.name;
  const [lines, dot, name] = cells[0].children;
  lines.textContent = twig;
  dot.className = `dot ${one.health}`;
  name.textContent = short(one);
  cells[1].textContent = one.state;
  cells[2].textContent = count(rate);
  const [bar, inside] = cells[3].children;
  const fill = one.ledger.capacity ? inMailbox(one) / one.ledger.capacity : 0;
  bar.className = `bar ${fill >= 1 ? "full" : fill >= 0.8 ? "high" : ""}`;
  bar.firstElementChild.style.width = `${Math.min(100, fill * 100)}%`;
  inside.textContent = `${exact(inMailbox(one))} / ${exact(one.ledger.capacity)}`;
  cells[4].textContent = time(one.waited.p95);
  cells[5].textContent = time(one.took.p50);
  cells[6].textContent = time(one.took.p99);
  const { failed, restarts } = one.ledger;
  [failed, lost(one.ledger) - failed, restarts].forEach((n, place) => {
    cells[7 + place].textContent = count(n);
    cells[7 + place].className = n ? (place ? "n" : "n hot") : "n quiet";
  });
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
    add("Mailbox", count, [["messages", "--c2"], ["room for", "--c6", [4, 4]]], (entry) => { const one = of(entry)?.of; return one && [inMailbox(one), one.ledger.capacity]; }),
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
    for (const text of cells) row.insertCell().textContent = text;
  }
  byId(id).tBodies[0].replaceWith(body);
}

function fillDetail() {
  const one = shown().at(-1)?.subsystems.get(detail)?.of;
  byId("detail-name").textContent = one ? short(one) : `${JSON.parse(detail)[0]} has ended`;
  byId("detail-health").textContent = one?.health ?? "";
  byId("detail-health").className = `pill ${one?.health ?? ""}`;
  byId("detail-reasons").textContent = one?.reasons.join("; ") ?? "";
  if (!one) return;
  const { ledger, took, waited } = one;
  const counts = (of) => Object.entries(of).map(([name, n]) => [name.replaceAll("_", " "), exact(n)]);
  fill("detail-ledger", counts(ledger));
  fill("detail-asks", counts(one.asks));
  const figures = one.figures ?? [];
  byId("detail-own").hidden = figures.length === 0;
  const number = (n) => (Number.isInteger(n) ? exact(n) : String(Number(n.toPrecision(4))));
  fill("detail-figures", figures.map(({ name, value }) => [name.replaceAll("_", " "), number(value)]));
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
  showSubsystems(last);
  if (detail !== null) { detailCharts.forEach((chart) => chart.update()); fillDetail(); }
  document.body.dataset.at = last.snapshot.at;
}

function pause(on) {
  held = on ? history.slice() : null;
  byId("pause").setAttribute("aria-pressed", String(on));
  byId("pause").textContent = on ? "Go on" : "Pause";
  if (!on) zoomed = null;
  redraw();
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  [...charts, ...detailCharts].forEach((chart) => chart.draw());
}

// ---- the stream

let source = null;
let heard = { ticks: performance.now(), at: new Date() }; // the last event, or the beginning
let again = 0; // when it is tried again, if nothing comes
let trouble = "";

function connect() {
  source?.close();
  const here = source = new EventSource(withToken("api/live"));
  const began = performance.now();
  let events = 0;
  again = performance.now() + SILENCE * 1000;
  here.onmessage = (event) => {
    events += 1;
    remember(JSON.parse(event.data));
    heard = { ticks: performance.now(), at: new Date() };
    again = heard.ticks + SILENCE * 1000;
    trouble = "";
    listen();
    if (held === null) redraw();
  };
  here.onerror = async () => {
    const isRefused = here.readyState === EventSource.CLOSED;
    here.close();
    // An answer goes on for some seconds, and then comes the next.
    if (events > 0 && performance.now() - began > 1000) return connect();
    if (!isRefused) again = performance.now() + 2000;
    const reason = isRefused ? await why() : "no connection, trying again";
    if (source !== here) return;
    trouble = reason;
    listen();
  };
}

/** Why the stream is refused: it does not say so itself. */
async function why() {
  const answer = await fetch(withToken("api/live"), { method: "HEAD" }).catch(() => null);
  if (answer?.status === 401) return "a token is needed: add ?token=… to the address";
  if (answer?.status === 503) return "too many watch already, trying again";
  return answer ? `refused (${answer.status}), trying again` : "no connection, trying again";
}

/** Once a second: says it if nothing is heard, and tries again. */
function listen() {
  const now = performance.now();
  const isSilent = now - heard.ticks > SILENCE * 1000;
  document.body.classList.toggle("silent", isSilent);
  if (isSilent) document.title = "● no news – Mycelia";
  const text = [trouble, isSilent ? `no news since ${clock(heard.at, true)}` : ""].filter(Boolean).join(" · ");
  // Screen readers say it when it changes.
  if (byId("connection").textContent !== text) byId("connection").textContent = text;
  if (now > again) connect();
}

const dark = matchMedia("(prefers-color-scheme: dark)");
theme(dark.matches ? "dark" : "light");
dark.onchange = () => theme(dark.matches ? "dark" : "light");
byId("theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
byId("pause").onclick = () => pause(held === null);
byId("filter").oninput = () => { const last = shown().at(-1); if (last) showSubsystems(last); };
const open = ({ target }) => { const row = target.closest("tr"); if (row) showDetail(row.dataset.key); };
byId("subsystems").tBodies[0].onclick = open;
byId("subsystems").tBodies[0].onkeydown = (event) => { if (event.key === "Enter") open(event); };
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
setInterval(listen, 1000);
