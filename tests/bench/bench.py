"""Measures POST /api/livekit/token and GET /api/livekit/rooms with many rooms, Greffier and a FastAPI service in one run.

    python bench.py GREFFIER [OUTPUT.json]          # run.sh does it all

The load is wrk's (Debian's package). Both services run alone, one after the other, on this machine; so does wrk, which is why
only the ratio says something. BENCH_ROOMS (10000), BENCH_SECONDS (8) for each measurement, BENCH_CONNECTIONS (32).
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
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOMS = int(os.environ.get("BENCH_ROOMS", "10000"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "8"))
CONNECTIONS = int(os.environ.get("BENCH_CONNECTIONS", "32"))
CORES = len(os.sched_getaffinity(0))
# Neither service works for so long on one request, in ms; a sender that waits for a delayed acknowledgement takes 40.
ALONE_MS = 20
KEY = "a key for one benchmark only"
LIVEKIT_KEY, LIVEKIT_SECRET = "benchkey", "the secret of a server that is not asked here"
LIVEKIT_URL = "ws://127.0.0.1:9"

# What wrk counted, as one line of JSON. Latencies are in microseconds.
LUA = """
wrk.method = "%s"
wrk.body = %s
wrk.headers["authorization"] = "Bearer %s"
wrk.headers["content-type"] = "application/json"
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


def load(
    port: int, method: str, path: str, body: Any, seconds: int, folder: Path, connections: int = CONNECTIONS
) -> dict[str, Any]:
    script = folder / "wrk.lua"
    written = "nil" if body is None else json.dumps(json.dumps(body))
    script.write_text(LUA % (method, written, KEY))
    threads = str(min(2, CORES, connections))
    told = subprocess.run(
        ["wrk", "-t", threads, "-c", str(connections), "-d", f"{seconds}s", "-s", str(script),
         f"http://127.0.0.1:{port}{path}"],
        check=True, capture_output=True, text=True,
    ).stdout
    figures = json.loads(told.strip().splitlines()[-1])
    if figures["failed"]:
        sys.exit(f"{figures['failed']} requests failed: {told}")
    figures["per_second"] = figures["requests"] / figures["seconds"]
    return figures


def measure(port: int, pid: int, room: str, folder: Path) -> dict[str, Any]:
    calls = {
        "POST /api/livekit/token": ("POST", "/api/livekit/token", {"room": room, "identity": "ana"}),
        "GET /api/livekit/rooms": ("GET", "/api/livekit/rooms", None),
    }
    measured: dict[str, Any] = {"idle_mib": memory_mib(pid), "calls": {}}
    for name, (method, path, body) in calls.items():
        # The first requests fill caches and pools.
        load(port, method, path, body, 2, folder)
        alone = load(port, method, path, body, 1, folder, connections=1)
        if alone["p50_ms"] > ALONE_MS:
            sys.exit(f"{name}: a single caller waits {alone['p50_ms']:.0f} ms; that is no work but a timer")
        measured["calls"][name] = load(port, method, path, body, SECONDS, folder)
    measured["loaded_mib"] = memory_mib(pid)
    return measured


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
        return measure(port, pid, "room-00000", folder), views, shown


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
        return measure(port, pid, "room-00000", folder)


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
    print(f"FastAPI on uvicorn with uvloop and httptools, {CORES} worker processes")
    print(f"{'':26}{'':>10}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}")
    for call in ours["calls"]:
        for who, measured in (("Greffier", ours), ("FastAPI", theirs)):
            figures = measured["calls"][call]
            print(f"{call:26}{who:>10}{figures['per_second']:>12.0f}{figures['p50_ms']:>9.2f}{figures['p99_ms']:>9.2f}")
        ratio = ours["calls"][call]["per_second"] / theirs["calls"][call]["per_second"]
        result["ratio"][call] = ratio
        print(f"{'':26}{'ratio':>10}{ratio:>11.1f}x")
    for who, measured in (("Greffier", ours), ("FastAPI", theirs)):
        print(f"{'memory (RSS), MiB':26}{who:>10}{measured['idle_mib']:>12.0f} idle{measured['loaded_mib']:>9.0f} loaded")
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(json.dumps(result, indent=2) + "\n")


main()
