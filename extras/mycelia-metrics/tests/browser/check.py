"""The dashboard in a real browser, and the metrics in a real parser: see `run`."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from browser import Browser, wait_until

program, folder = sys.argv[1], Path(sys.argv[2])
LOAD_SECONDS = 15


def parse(url):
    """The metrics, as the official parser reads them: (name, labels) to value."""
    with urllib.request.urlopen(url + "/metrics") as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return families, {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families for sample in family.samples
    }


def check_metrics(url, snapshot):
    families, values = parse(url)
    kinds = {family.name: family.type for family in families}
    assert kinds["mycelia_messages"] == "counter" and kinds["mycelia_handling_seconds"] == "histogram", kinds
    assert len(values) < 1500, "labels are bounded"
    for one in snapshot["subsystems"]:
        if "::" in one["name"]:
            continue
        own = ("subsystem", one["name"])
        for fate in ["handled", "failed", "evicted", "discarded", "returned", "expired", "undelivered"]:
            labels = tuple(sorted([own, ("fate", fate)]))
            assert values[("mycelia_subsystem_messages_total", labels)] == one["ledger"][fate], (one["name"], fate)
        count = values[("mycelia_handling_seconds_count", (own,))]
        assert values[("mycelia_handling_seconds_bucket", tuple(sorted([own, ("le", "+Inf")])))] == count
    for fate in ["handled", "failed", "evicted"]:
        assert values[("mycelia_messages_total", (("fate", fate),))] == snapshot["ledger"][fate], fate


def snapshot_of(url):
    with urllib.request.urlopen(url + "/api/snapshot") as answer:
        return json.load(answer)


READ_DETAILS = """
const found = {};
for (const row of document.querySelectorAll('#subsystems tbody tr')) {
  row.click();
  const read = (id) => Object.fromEntries([...document.querySelectorAll(`#${id} tr`)].map(({ cells }) => [cells[0].textContent, cells[1].textContent]));
  found[row.dataset.key] = { ledger: read('detail-ledger'), asks: read('detail-asks'), figures: read('detail-figures') };
  document.getElementById('close').click();
}
return found;
"""

READ_TABLE = """
const names = [...document.querySelectorAll('#subsystems thead th')].map((cell) => cell.textContent);
const rows = [...document.querySelectorAll('#subsystems tbody tr')];
return Object.fromEntries(rows.map((row) => [row.dataset.key, Object.fromEntries(names.map((name, place) => [name, row.cells[place].textContent]))]));
"""

READ_TILES = """
const tiles = [...document.querySelectorAll('.tile')];
return Object.fromEntries(tiles.map((tile) => ['label', 'value', 'note'].map((part) => tile.querySelector('.' + part).textContent)).map(([label, ...rest]) => [label, rest]));
"""

SIZES = {"k": 1e3, "M": 1e6, "G": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def number(text):
    """What `12.3 k` is, or `1,234`."""
    figure, _, unit = text.partition(" ")
    return float(figure.replace(",", "")) * SIZES.get(unit, 1)


def near(text, value, share=0.01):
    return abs(number(text) - value) <= share * value


def keyed(snapshot):
    rows = {json.dumps([one["name"], one["parent"]], separators=(",", ":")): one for one in snapshot["subsystems"]}
    assert len(rows) == len(snapshot["subsystems"]), "name and parent tell them apart"
    return rows


def check_details(shown, snapshot):
    rows = keyed(snapshot)
    assert shown.keys() == rows.keys(), (sorted(shown), sorted(rows))
    for which, one in rows.items():
        for part in ["ledger", "asks"]:
            for column, value in one[part].items():
                assert number(shown[which][part][column.replace("_", " ")]) == value, (which, part, column, value)
        for figure in one.get("figures", []):
            assert number(shown[which]["figures"][figure["name"].replace("_", " ")]) == figure["value"], (which, figure)


def lost(ledger):
    return sum(ledger[fate] for fate in ["failed", "evicted", "discarded", "expired", "undelivered"])


def check_table(shown, snapshot):
    rows = keyed(snapshot)
    assert shown.keys() == rows.keys(), (sorted(shown), sorted(rows))
    for which, one in rows.items():
        row, ledger = shown[which], one["ledger"]
        kind = one["name"].split("::")[-1]
        assert row["name"].endswith(f"{kind} × {one['count']}" if "::" in one["name"] else kind), (row, one)
        assert row["state"] == one["state"] and number(row["msg/s"]) == 0, (row, one)
        inside, room = row["mailbox"].split(" / ")
        assert (number(inside), number(room)) == (one.get("in_mailbox", ledger["queued"]), ledger["capacity"]), (row, one)
        for column, value in [("failed", ledger["failed"]), ("lost", lost(ledger) - ledger["failed"]), ("restarts", ledger["restarts"])]:
            assert near(row[column], value), (column, row, one)


def check_tiles(shown, snapshot):
    ledger = snapshot["ledger"]
    handled, sent = shown["messages / s"][1].removesuffix(" handled").split(" of ")
    assert number(shown["messages / s"][0]) == 0 and near(handled, ledger["handled"]) and near(sent, ledger["sent"]), shown
    assert shown["queued"] == ["0", shown["queued"][1]] and near(shown["queued"][1].removeprefix("room for "), ledger["capacity"]), shown
    assert near(shown["errors"][1].removesuffix(" failed"), ledger["failed"]), shown
    assert near(shown["lost / s"][1].removesuffix(" dead letters"), lost(ledger)), shown
    assert near(shown["restarts"][0], ledger["restarts"]), shown
    assert near(shown["memory"][0], snapshot["process"]["resident_bytes"], 0.1), (shown, snapshot["process"])
    used, made = shown["memory"][1].removeprefix("slots: ").split(" of ")
    assert near(used, snapshot["pool"]["in_use"]) and near(made, snapshot["pool"]["created"]), (shown, snapshot["pool"])
    assert shown["processor"][1].startswith(f"{snapshot['tokio']['workers']} workers"), shown


# Clocks that are set, and processes that are started again: the page is told of them by hand, at the very end.
CLOCKS = """
source.close();
const last = history.at(-1);
const more = (seconds, { clock = 0, uptime = 0, handled = 0 } = {}) => {
  const { snapshot } = history.at(-1);
  remember({ ...snapshot, at: snapshot.at + seconds + clock, uptime: uptime || snapshot.uptime + seconds,
    ledger: { ...snapshot.ledger, handled: snapshot.ledger.handled + handled } });
  return history.at(-1);
};
const problems = [];
const check = (holds, what) => { if (!holds) problems.push(what); };
let before = history.length;
const near = (found, expected) => Math.abs(found - expected) < 1e-6; // uptimes are fractions
check(near(more(1, { handled: 100 }).rates.handled, 100) && history.length === before + 1, 'a second more');
check(near(more(1, { handled: 100, clock: -2 }).rates.handled, 100) && history.length === before + 2, 'a clock set back by two seconds');
check(near(history.at(-1).at - last.at, 2), 'where it is in time');
check(near(more(0.25, { handled: 25 }).rates.handled, 100) && history.length === before + 2, 'too short for a rate');
more(1, { clock: -3600 });
check(history.length === before + 4 && history.at(-2).snapshot === undefined && history.at(-1).rates.handled === null, 'a clock set back by an hour');
more(20, { uptime: 1 });
check(history.length === before + 6 && history.at(-2).snapshot === undefined && history.at(-1).rates.handled === null, 'another process');
check(near(more(1, { handled: 7 }).rates.handled, 7), 'and on');
check(history.every(({ at }, place) => place === 0 || at > history[place - 1].at), 'in order');
redraw();
check(!charts[0].u.data[1].slice(0, -1).every((n) => n !== null), 'a gap in the chart');
// Two hours more, while it is held.
pause(true);
const [held_, first, many] = [shown().length, shown()[0], shown().at(-1).subsystems.size];
for (let second = 0; second < KEPT + 10; second += 1) more(1);
check(history.length === KEPT && shown().length === held_ && shown()[0] === first, 'it is held');
check(many > 0 && shown().at(-1).subsystems.size === many && history[0].subsystems.size === 0, 'with its subsystems');
pause(false);
// More rows than are listed, and half past midnight.
const one = history.at(-1).snapshot.subsystems[0];
more(1);
history.at(-1).snapshot = { ...history.at(-1).snapshot, subsystems: Array.from({ length: 512 }, (_, n) => ({ ...one, name: `many-${n}`, parent: null })) };
redraw();
check(document.querySelectorAll('#subsystems tbody tr').length === 500 && document.getElementById('more').textContent.startsWith('12 more'), 'twelve more');
check(clock(new Date(2026, 0, 1, 0, 5), false) === '00:05', clock(new Date(2026, 0, 1, 0, 5), false));
check(percent(0.996) === '99 %' && percent(0.29) === '29 %' && percent(1) === '100 %', 'percent');
return problems;
"""


def check_layout(browser, width):
    problems = browser.run("""
      const problems = [];
      if (document.documentElement.scrollWidth > innerWidth) problems.push(`the page is ${document.documentElement.scrollWidth} wide`);
      for (const part of document.querySelectorAll('.tile .value, .tile .label, .pill, h1, h2')) {
        if (part.offsetParent && part.scrollWidth > part.clientWidth + 1) problems.push(`cut off: ${part.textContent}`);
      }
      for (const canvas of document.querySelectorAll('#charts canvas')) {
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        if (!pixels.some((value) => value)) problems.push('an empty chart');
      }
      if (document.querySelectorAll('#charts canvas').length !== 8) problems.push('charts are missing');
      return problems;
    """)
    assert not problems, (width, problems)


server = subprocess.Popen([program, "127.0.0.1:0", str(LOAD_SECONDS)], stdout=subprocess.PIPE, text=True)
browser = None
try:
    url = server.stdout.readline().strip()
    browser = Browser()
    browser.resize(1280, 900)
    browser.open(url)
    wait_until(lambda: browser.run("return history.length > 5"), "snapshots come")

    # Under load: what the page says is what its snapshot says.
    browser.run("pause(true)")
    at = browser.run("return document.body.dataset.at")
    held = json.loads(browser.run("return JSON.stringify(shown().at(-1).snapshot)"))
    assert float(at) == held["at"] and held["ledger"]["handled"] > 1000, held["ledger"]
    check_details(browser.run(READ_DETAILS), held)
    time.sleep(1.5)
    assert browser.run("return document.body.dataset.at") == at, "it is held"
    browser.run("pause(false)")
    rate = browser.run("return history.at(-1).rates.handled")
    assert 1000 < rate < 100_000, rate
    first = snapshot_of(url)
    time.sleep(2)
    second = snapshot_of(url)
    truth = (second["ledger"]["handled"] - first["ledger"]["handled"]) / (second["uptime"] - first["uptime"])
    said = number(browser.run(READ_TILES)["messages / s"][0])
    assert truth / 3 < said < truth * 3, ("messages / s", said, truth)
    parse(url)

    for width, height, name, theme in [
        (1280, 1080, "dashboard.png", "dark"), (1280, 1080, "dashboard-light.png", "light"), (390, 844, "dashboard-phone.png", "light"),
    ]:
        browser.resize(width, height)
        browser.run(f"theme('{theme}')")
        time.sleep(1.5)
        check_layout(browser, width)
        browser.shoot(folder, name)

    # A range, a part of it, and back; the filter.
    browser.resize(1280, 900)
    browser.run("document.querySelector('#range [data-seconds=\"60\"]').click()")
    assert browser.run("return charts[0].u.scales.x.max - charts[0].u.scales.x.min") <= 60.001
    x, y, width, height = browser.box("#charts .u-over")
    scale = lambda chart: browser.run(f"const {{ min, max }} = charts[{chart}].u.scales.x; return [min, max]")
    # The picture moves on while it is dragged.
    browser.point((x + width * 0.25, y + height / 2), "down", (x + width * 0.4, y + height / 2), 1.2, (x + width * 0.75, y + height / 2), "up")
    zoomed = scale(3)
    assert 25 < zoomed[1] - zoomed[0] < 35 and scale(0) == zoomed, zoomed
    time.sleep(1.2)
    assert scale(0) == zoomed, "it stays"
    browser.point("down", "up", "down", "up")
    assert 59 < scale(3)[1] - scale(3)[0] < 61, scale(3)

    # A row stays the same while it is pressed, and while it is focused.
    x, y, width, height = browser.box("#subsystems tbody tr:nth-child(2)")
    browser.point((x + 40, y + height / 2), "down", 1.5, "up")
    assert browser.run("return document.getElementById('detail').open"), "a long press is one"
    browser.run("document.getElementById('close').click()")
    browser.run("document.querySelector('#subsystems tbody tr:nth-child(3)').focus()")
    time.sleep(1.5)
    assert browser.run("return document.activeElement === document.querySelector('#subsystems tbody tr:nth-child(3)')"), "it has the focus"
    browser.run("document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }))")
    assert browser.run("return document.getElementById('detail').open"), "and opens"
    browser.run("document.getElementById('close').click()")
    browser.run("const filter = document.getElementById('filter'); filter.value = 'kitchen'; filter.oninput()")
    assert browser.run("return document.querySelectorAll('#subsystems tbody tr').length") == 3
    browser.run("const filter = document.getElementById('filter'); filter.value = ''; filter.oninput()")

    # After the load: the page, the snapshot and the metrics are of one mind.
    assert server.stdout.readline().strip() == "done"
    quiet = lambda: (lambda s: s if s["ledger"]["queued"] + s["ledger"]["in_hand"] == 0 else None)(snapshot_of(url))
    last = wait_until(quiet, "all is handled", 60)
    wait_until(lambda: float(browser.run("return document.body.dataset.at")) > last["at"], "the page has seen it")
    check_details(browser.run(READ_DETAILS), last)
    wait_until(lambda: number(browser.run(READ_TILES)["messages / s"][0]) == 0, "the rate is 0")
    last = snapshot_of(url)
    check_tiles(browser.run(READ_TILES), last)
    check_table(browser.run(READ_TABLE), last)
    assert browser.run("return document.getElementById('count').textContent") == f"{last['alive']} alive"
    check_metrics(url, last)
    accounted = sum(last["ledger"][fate] for fate in ["handled", "failed", "evicted", "discarded", "returned", "expired", "undelivered"])
    assert accounted == last["ledger"]["sent"], last["ledger"]

    # The process says nothing for a while, and then goes on.
    connection = lambda: browser.run("return document.getElementById('connection').textContent")
    assert connection() == "", connection()
    os.kill(server.pid, signal.SIGSTOP)
    wait_until(lambda: "no news since" in connection(), "silence is noticed", 10)
    browser.shoot(folder, "dashboard-silent.png")
    os.kill(server.pid, signal.SIGCONT)
    wait_until(lambda: connection() == "", "it is heard again")
    assert browser.run("return history.filter((entry) => !entry.snapshot).length") == 1, "a gap"
    problems = browser.run(CLOCKS)
    assert not problems, problems

    complaints = browser.complaints()
    assert not complaints, complaints
    print(f"the dashboard shows what there is: {last['ledger']['handled']} of {last['ledger']['sent']} messages handled")
finally:
    if browser:
        browser.end()
    server.terminate()
