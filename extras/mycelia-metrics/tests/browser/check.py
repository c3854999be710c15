"""The dashboard in a real browser, and the metrics in a real parser: see `run`."""

import base64
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families

program, folder = sys.argv[1], Path(sys.argv[2])
LOAD_SECONDS = 15


def wait_until(holds, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.1)
    return found


class Browser:
    """A session of ChromeDriver's, by its HTTP interface."""

    def __init__(self):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        for line in self.driver.stdout:
            if "successfully" in line:
                self.base = f"http://127.0.0.1:{line.rstrip().rstrip('.').split()[-1]}"
                break
        arguments = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tempfile.mkdtemp()}",
        ]
        wanted = {"goog:loggingPrefs": {"browser": "ALL"}, "goog:chromeOptions": {"args": arguments}}
        try:
            session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        except BaseException:
            self.driver.terminate()
            raise
        self.base += f"/session/{session['sessionId']}"

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def run(self, script):
        return self.call("POST", "/execute/sync", {"script": script, "args": []})

    def resize(self, width, height):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": size})

    def shoot(self, name):
        (folder / name).write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def complaints(self):
        return self.call("POST", "/se/log", {"type": "browser"})

    def end(self):
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()


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
  const cells = {};
  for (const line of document.querySelectorAll('#detail-ledger tr')) {
    cells[line.cells[0].textContent] = Number(line.cells[1].textContent.replaceAll(',', ''));
  }
  for (const line of document.querySelectorAll('#detail-asks tr')) {
    cells['ask ' + line.cells[0].textContent] = Number(line.cells[1].textContent.replaceAll(',', ''));
  }
  found[row.dataset.name] = cells;
  document.getElementById('close').click();
}
return found;
"""


def check_details(shown, snapshot):
    assert len(shown) == len(snapshot["subsystems"]), (sorted(shown), len(snapshot["subsystems"]))
    for one in snapshot["subsystems"]:
        cells = shown[one["name"]]
        for column, value in one["ledger"].items():
            name = column.replace("_", " ")
            if name in cells:
                assert cells[name] == value, (one["name"], column, cells[name], value)
        for end, value in one["asks"].items():
            assert cells[f"ask {end}"] == value, (one["name"], end)


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
    parse(url)

    for width, height, name, theme in [
        (1280, 1080, "dashboard.png", "dark"), (1280, 1080, "dashboard-light.png", "light"), (390, 844, "dashboard-phone.png", "light"),
    ]:
        browser.resize(width, height)
        browser.run(f"theme('{theme}')")
        time.sleep(1.5)
        check_layout(browser, width)
        browser.shoot(name)

    # A range, a part of it, and back; the filter.
    browser.resize(1280, 900)
    browser.run("document.querySelector('#range [data-seconds=\"60\"]').click()")
    assert browser.run("return charts[0].u.scales.x.max - charts[0].u.scales.x.min") <= 60.001
    browser.run("zoomed = [history[1].snapshot.at, history[4].snapshot.at]; redraw()")
    assert browser.run("return charts[3].u.scales.x.max === history[4].snapshot.at")
    browser.run("charts[0].plot.ondblclick()")
    browser.run("const filter = document.getElementById('filter'); filter.value = 'kitchen'; filter.oninput()")
    assert browser.run("return document.querySelectorAll('#subsystems tbody tr').length") == 3
    browser.run("const filter = document.getElementById('filter'); filter.value = ''; filter.oninput()")

    # After the load: the page, the snapshot and the metrics are of one mind.
    assert server.stdout.readline().strip() == "done"
    quiet = lambda: (lambda s: s if s["ledger"]["queued"] + s["ledger"]["in_hand"] == 0 else None)(snapshot_of(url))
    last = wait_until(quiet, "all is handled", 60)
    wait_until(lambda: float(browser.run("return document.body.dataset.at")) > last["at"], "the page has seen it")
    check_details(browser.run(READ_DETAILS), last)
    check_metrics(url, last)
    accounted = sum(last["ledger"][fate] for fate in ["handled", "failed", "evicted", "discarded", "returned", "expired", "undelivered"])
    assert accounted == last["ledger"]["sent"], last["ledger"]

    complaints = browser.complaints()
    assert not complaints, complaints
    print(f"the dashboard shows what there is: {last['ledger']['handled']} of {last['ledger']['sent']} messages handled")
finally:
    if browser:
        browser.end()
    server.terminate()
