"""The dashboard and the metrics behind a real nginx: see `run`."""

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from browser import Browser, wait_until

programs, here = Path(sys.argv[1]), Path(__file__).parent


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def events_of(url, seconds):
    """When each event came, through gzip, in seconds after it was asked for; of as many answers as fit."""
    began, times = time.monotonic(), []
    while time.monotonic() - began < seconds:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept-Encoding": "gzip"}), timeout=10) as answer:
            assert answer.headers["Content-Encoding"] == "gzip", answer.headers
            inflate, text = zlib.decompressobj(31), b""
            while chunk := answer.read1():
                text += inflate.decompress(chunk)
                *whole, text = text.split(b"\n\n")
                for event in whole:
                    if event.startswith(b"data: "):
                        assert json.loads(event[6:])["subsystems"], event
                        times.append(time.monotonic() - began)
    return times


def check_plain(url):
    code, headers, body = get(f"{url}/metrics", **{"Accept-Encoding": "gzip"})
    text = zlib.decompress(body, 31).decode()
    assert code == 200 and headers["Content-Encoding"] == "gzip" and text.endswith("# EOF\n"), (url, code, headers)
    for path in ["healthz", "readyz", "api/snapshot", "api/routes", "dashboard.js", "uplot.js"]:
        assert get(f"{url}/{path}")[0] == 200, (url, path)
    times = events_of(f"{url}/api/live", 7)
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert times[0] < 1 and max(gaps) < 1.9 and len(times) >= 7, (url, times)


def check_page(browser, url):
    browser.open(url)
    # More than one answer gives.
    wait_until(lambda: browser.run("return history.length > 5"), f"snapshots at {url}")
    found = browser.run("""
      const links = [...document.querySelectorAll('script[src], link[rel=stylesheet]')].map((one) => one.src ?? one.href);
      const gaps = history.slice(1).map((entry, place) => entry.at - history[place].at);
      return { links, gaps, title: document.title, trouble: document.getElementById('connection').textContent,
        charts: document.querySelectorAll('#charts canvas').length };
    """)
    assert len(found["links"]) == 4 and all(link.startswith(url.rstrip("/") + "/") for link in found["links"]), found
    assert found["charts"] == 8 and found["trouble"] == "" and max(found["gaps"]) < 1.9, found


def started(program, *arguments):
    process = subprocess.Popen([programs / program, *arguments], stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip().removeprefix("http://").split("/")[0]


folder = Path(tempfile.mkdtemp())
port = free_port()
processes, browser = [], None
try:
    (own, own_address), (nested, nested_address) = started("dashboard", "127.0.0.1:0"), started("nested", "127.0.0.1:0")
    processes = [own, nested]
    config = (here / "nginx.conf").read_text()
    for name, value in [("@OWN@", own_address), ("@NESTED@", nested_address), ("@PORT@", str(port))]:
        config = config.replace(name, value)
    (folder / "nginx.conf").write_text(config)
    (folder / "tmp").mkdir()
    folder.chmod(0o755)
    processes.append(subprocess.Popen(["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]))
    base = f"http://127.0.0.1:{port}"

    def answers():
        try:
            return get(f"{base}/stripped/healthz")[0] == 200
        except OSError:
            return False

    wait_until(answers, "nginx answers")
    prefixes = ["stripped", "sloppy", "internal/mycelia", "outer/internal/mycelia"]
    with ThreadPoolExecutor() as pool:
        list(pool.map(check_plain, [f"{base}/{prefix}" for prefix in prefixes]))
    code, _, body = get(f"{base}/named/metrics")
    assert code == 421 and b"Settings::token" in body, (code, body)

    browser = Browser()
    # Here the server is asked for `/`, so that only the page knows where it is. Chromium, which reads ahead, has looked for its files
    # elsewhere before.
    check_page(browser, f"{base}/sloppy")
    complaints = browser.complaints()
    assert all("404" in complaint["message"] for complaint in complaints), complaints
    # (nginx itself adds the slash to the first.)
    for page in [f"{prefix}/" for prefix in prefixes] + ["internal/mycelia", "outer/internal/mycelia"]:
        check_page(browser, f"{base}/{page}")
    complaints = browser.complaints()
    assert not complaints, complaints

    # The server is told to end while the dashboard is open, through nginx and all.
    began = time.monotonic()
    nested.send_signal(signal.SIGTERM)
    assert nested.wait(timeout=10) == 0 and nested.stdout.read() == "ended\n"
    took = time.monotonic() - began
    wait_until(lambda: browser.run("return document.getElementById('connection').textContent") != "", "the page says so")
    print(f"behind nginx all of it is there; the server ended within {took:.1f} s of SIGTERM, a dashboard open")
finally:
    if browser:
        browser.end()
    for process in processes:
        process.terminate()
