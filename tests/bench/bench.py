"""Measures POST /api/livekit/token and GET /api/livekit/rooms with many rooms, Greffier and a FastAPI service in one run.

    python bench.py GREFFIER [OUTPUT.json]          # run.sh does it all

The load is wrk's (Debian's package): tokens for any of the rooms, any page of the list. Both services run alone, one after the
other, on this machine; so does wrk, which is why only the ratio says something. Greffier remembers what it has read until that
changes, so it is measured once more while rooms change. BENCH_ROOMS (10000), BENCH_SECONDS (8) for each measurement,
BENCH_CONNECTIONS (32), BENCH_CHANGES (10) a second.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOMS = int(os.environ.get("BENCH_ROOMS", "10000"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "8"))
CONNECTIONS = int(os.environ.get("BENCH_CONNECTIONS", "32"))
CHANGES = int(os.environ.get("BENCH_CHANGES", "10"))
CORES = len(os.sched_getaffinity(0))
# Neither service works for so long on one request, in ms; a sender that waits for a delayed acknowledgement takes 40.
ALONE_MS = 20
KEY = "a key for one benchmark only"
LIVEKIT_KEY, LIVEKIT_SECRET = "benchkey", "the secret of a server that is not asked here"
LIVEKIT_URL = "ws://127.0.0.1:9"

# Any of the requests of a file, one a line: method, path, body. What wrk counted goes out as one line of JSON, in microseconds.
LUA = """
local requests = {}
local headers = { ["authorization"] = "Bearer %s", ["content-type"] = "application/json" }
local threads = 0
setup = function(thread)
  threads = threads + 1
  thread:set("number", threads)
end
init = function()
  math.randomseed(number)
  for line in io.lines("%s") do
    local method, path, body = line:match("^(%%S+) (%%S+) ?(.*)$")
    requests[#requests + 1] = wrk.format(method, path, headers, body ~= "" and body or nil)
  end
end
request = function()
  return requests[math.random(#requests)]
end
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\n{"requests": %%d, "seconds": %%.3f, "p50_ms": %%.3f, "p99_ms": %%.3f, "failed": %%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text.startswith((b"{", b"[")) else text


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str], port: int, path: str, log: Path) -> Iterator[int]:
    """A service from when it answers until the block ends."""
    with log.open("w") as output:
        process = subprocess.Popen(command, env=os.environ | environment, stdout=output, stderr=output)
        try:
            until = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError):
                    if ask(port, "GET", path)[0] < 500:
                        break
                if process.poll() is not None or time.monotonic() > until:
                    sys.exit(f"it does not answer: {log.read_text()[-2000:]}")
                time.sleep(0.1)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(70)
            except subprocess.TimeoutExpired:
                process.kill()


def family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def memory_mib(pid: int) -> float:
    """Resident memory of a service's processes; pages that they share count once in each, as top has it."""
    status = [Path(f"/proc/{one}/status").read_text() for one in family(pid)]
    return sum(int(re.search(r"VmRSS:\s+(\d+)", text)[1]) for text in status) / 1024


def load(port: int, requests: list[str], seconds: int, folder: Path, connections: int = CONNECTIONS) -> dict[str, Any]:
    asked, script = folder / "requests", folder / "wrk.lua"
    asked.write_text("".join(f"{request}\n" for request in requests))
    script.write_text(LUA % (KEY, asked))
    threads = str(min(2, CORES, connections))
    told = subprocess.run(
        ["wrk", "-t", threads, "-c", str(connections), "-d", f"{seconds}s", "-s", str(script), f"http://127.0.0.1:{port}"],
        check=True, capture_output=True, text=True,
    ).stdout
    figures = json.loads(told.strip().splitlines()[-1])
    if figures["failed"]:
        sys.exit(f"{figures['failed']} requests failed: {told}")
    figures["per_second"] = figures["requests"] / figures["seconds"]
    return figures


def calls(port: int) -> dict[str, list[str]]:
    """What is asked, of which one after the other is picked at random: each room, and each page of the list."""
    tokens = [json.dumps({"room": f"room-{number:05}", "identity": "ana"}) for number in range(ROOMS)]
    pages = ["/api/livekit/rooms"]
    while cursor := ask(port, "GET", pages[-1])[1].get("next_cursor"):
        pages.append(f"/api/livekit/rooms?cursor={cursor}")
    return {
        "POST /api/livekit/token": [f"POST /api/livekit/token {body}" for body in tokens],
        "GET /api/livekit/rooms": [f"GET {page}" for page in pages],
    }


def measure(port: int, pid: int, folder: Path) -> dict[str, Any]:
    measured: dict[str, Any] = {"idle_mib": memory_mib(pid), "calls": {}}
    for name, requests in calls(port).items():
        # The first requests fill caches and pools.
        load(port, requests, 2, folder)
        alone = load(port, requests, 1, folder, connections=1)
        if alone["p50_ms"] > ALONE_MS:
            sys.exit(f"{name}: a single caller waits {alone['p50_ms']:.0f} ms; that is no work but a timer")
        measured["calls"][name] = load(port, requests, SECONDS, folder)
    measured["loaded_mib"] = memory_mib(pid)
    return measured


@contextlib.contextmanager
def changing(port: int) -> Iterator[None]:
    """Rooms are renamed for as long as the block goes on, CHANGES a second."""
    over = threading.Event()

    def change() -> None:
        number = 0
        while not over.wait(1 / CHANGES):
            number += 1
            status, told = ask(port, "PATCH", f"/api/livekit/rooms/room-{number % ROOMS:05}", {"title": f"Renamed {number}"})
            if status != 200:
                sys.exit(f"{status}: {told}")

    with concurrent.futures.ThreadPoolExecutor(1) as one:
        changes = one.submit(change)
        try:
            yield
        finally:
            over.set()
            changes.result()


def fill(port: int) -> list[dict[str, Any]]:
    """Makes the rooms, as many as there are to be, and gives them as lists show them."""

    def make(number: int) -> None:
        room = {"name": f"room-{number:05}", "title": f"Room {number}", "call_type": "video"}
        status, told = ask(port, "POST", "/api/livekit/rooms", room)
        if status != 201:
            sys.exit(f"{status}: {told}")

    with concurrent.futures.ThreadPoolExecutor(4) as several:
        list(several.map(make, range(ROOMS)))
    views: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = ask(port, "GET", f"/api/livekit/rooms?limit=100{cursor}")[1]
        views += page["items"]
        if not page.get("next_cursor"):
            return views
        cursor = f"&cursor={page['next_cursor']}"


def greffier(program: str, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]], Any]:
    port = free_port()
    environment = {
        "LIVEKIT_URL": LIVEKIT_URL, "LIVEKIT_API_KEY": LIVEKIT_KEY, "LIVEKIT_API_SECRET": LIVEKIT_SECRET,
        "GREFFIER_STORE__DATA_DIR": str(folder / "data"),
        "GREFFIER_STORE__MIN_FREE_BYTES": "1000000", "GREFFIER_STORE__MIN_FREE_PERCENT": "0",
        "GREFFIER_API__LISTEN": f"127.0.0.1:{port}",
        "GREFFIER_API__LIMITS": "{requests_per_second=0,caller_requests_per_second=0,failures_per_minute=0}",
        "GREFFIER_API__KEYS": f'[{{name="bench",key="{KEY}",scopes=["admin"]}}]',
        "GREFFIER_LOG__LEVEL": "warn",
    }
    with running([program, "serve"], environment, port, "/readyz", folder / "greffier.log") as pid:
        began = time.monotonic()
        views = fill(port)
        print(f"{len(views)} rooms made in {time.monotonic() - began:.1f} s", file=sys.stderr)
        shown = ask(port, "GET", "/api/livekit/rooms")[1]
        measured = measure(port, pid, folder)
        measured["nothing"] = load(port, ["GET /healthz"], SECONDS, folder)
        with changing(port):
            measured["changing"] = {name: load(port, requests, SECONDS, folder) for name, requests in calls(port).items()}
        return measured, views, shown


def fastapi(views: list[dict[str, Any]], shown: Any, folder: Path) -> dict[str, Any]:
    port = free_port()
    path = folder / "fastapi.db"
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = wal")
    database.execute("CREATE TABLE rooms (id TEXT PRIMARY KEY, name TEXT UNIQUE, ended INTEGER, view TEXT)")
    rows = ((f"{len(views) - number:08}", view["name"], 0, json.dumps(view)) for number, view in enumerate(views))
    database.executemany("INSERT INTO rooms VALUES (?, ?, ?, ?)", rows)
    database.commit()
    database.close()
    environment = {
        "BENCH_DATABASE": str(path), "BENCH_KEY": KEY,
        "BENCH_LIVEKIT_KEY": LIVEKIT_KEY, "BENCH_LIVEKIT_SECRET": LIVEKIT_SECRET, "BENCH_LIVEKIT_URL": LIVEKIT_URL,
    }
    command = [sys.executable, "-m", "uvicorn", "service:app", "--app-dir", str(HERE), "--port", str(port),
               "--workers", str(CORES), "--no-access-log", "--log-level", "warning"]
    with running(command, environment, port, "/api/livekit/rooms", folder / "fastapi.log") as pid:
        # What is compared must be the same work.
        same = ask(port, "GET", "/api/livekit/rooms")[1]
        if same["items"] != shown["items"]:
            sys.exit("the two lists differ")
        return measure(port, pid, folder)


def main() -> None:
    program = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="greffier-bench-") as name:
        folder = Path(name)
        ours, views, shown = greffier(program, folder)
        theirs = fastapi(views, shown, folder)
    result = {
        "rooms": len(views), "cores": CORES, "connections": CONNECTIONS, "seconds": SECONDS,
        "load": "wrk", "greffier": ours, "fastapi": theirs, "ratio": {},
    }
    print(f"{len(views)} rooms, {CONNECTIONS} connections, {CORES} cores shared with wrk, {SECONDS} s each")
    print(f"changing: Greffier, while {CHANGES} rooms a second are renamed")
    print(f"FastAPI on uvicorn with uvloop and httptools, {CORES} worker processes")
    print(f"{'':26}{'':>10}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}")

    def row(call: str, who: str, figures: dict[str, Any]) -> None:
        print(f"{call:26}{who:>10}{figures['per_second']:>12.0f}{figures['p50_ms']:>9.2f}{figures['p99_ms']:>9.2f}")

    for call in ours["calls"]:
        row(call, "Greffier", ours["calls"][call])
        row(call, "FastAPI", theirs["calls"][call])
        row(call, "changing", ours["changing"][call])
        ratio = ours["calls"][call]["per_second"] / theirs["calls"][call]["per_second"]
        result["ratio"][call] = ratio
        print(f"{'':26}{'ratio':>10}{ratio:>11.1f}x")
    row("GET /healthz (no work)", "Greffier", ours["nothing"])
    for who, measured in (("Greffier", ours), ("FastAPI", theirs)):
        print(f"{'memory (RSS), MiB':26}{who:>10}{measured['idle_mib']:>12.0f} idle{measured['loaded_mib']:>9.0f} loaded")
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(json.dumps(result, indent=2) + "\n")


main()
