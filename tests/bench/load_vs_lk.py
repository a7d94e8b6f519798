"""What two load testers cost, seen from outside: processor and memory of their processes while the load stands, and the
datagrams that their sockets dropped. Run by load_vs_lk.sh."""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KEY, SECRET = "benchkey", "the secret of a server that lives for one measurement only"
PUBLISHERS = 4
TICKS = os.sysconf("SC_CLK_TCK")
# Joins and clips are over by then, and the end has not begun.
FROM, TO = 0.45, 0.9


def tree(pid):
    """A process and all its descendants."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(") ", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, open_ = [], [pid]
    while open_:
        one = open_.pop()
        found.append(one)
        open_ += children.get(one, [])
    return found


def cpu_seconds(pids):
    total = 0.0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / TICKS
        except (OSError, IndexError):
            pass
    return total


def memory(pids):
    """Proportional set size in MiB: what processes share is counted once."""
    total = 0
    for pid in pids:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+)", rollup, re.M)[1])
        except (OSError, TypeError):
            pass
    return total / 1024


def drops(pids):
    """Datagrams dropped by sockets that these processes have open now."""
    inodes = set()
    for pid in pids:
        try:
            for fd in os.scandir(f"/proc/{pid}/fd"):
                target = os.readlink(fd.path)
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
        except OSError:
            pass
    lost = 0
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes:
                lost += int(fields[-1])
    return lost


def busy():
    """Jiffies that all processors were busy, and all there were."""
    fields = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


def measure(command, seconds, server_pid, out):
    """Runs a tester; its cost between two moments of its run."""
    process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    began = time.monotonic()
    most_memory, most_drops = 0.0, 0
    first = last = None
    while process.poll() is None:
        time.sleep(0.5)
        at = time.monotonic() - began
        pids = tree(process.pid)
        most_drops = max(most_drops, drops(pids))
        if FROM * seconds <= at <= TO * seconds:
            most_memory = max(most_memory, memory(pids))
            last = (at, cpu_seconds(pids), cpu_seconds([server_pid]), busy())
            first = first or last
        if at > seconds * 3 + 60:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)
    if not first or last == first:
        sys.exit(f"{command[0]} ended before it could be measured")
    passed = last[0] - first[0]
    machine = (last[3][0] - first[3][0]) / max(1, last[3][1] - first[3][1])
    return {
        "cpu": 100 * (last[1] - first[1]) / passed,
        "server_cpu": 100 * (last[2] - first[2]) / passed,
        "machine": 100 * machine,
        "mib": most_memory,
        "drops": most_drops,
        "exit": process.returncode,
    }


def run_lk(args, subscribers, seconds, folder, url, server_pid):
    """Its duration begins when all have joined."""
    joins = (PUBLISHERS + subscribers) / 20
    log = folder / f"lk-{subscribers}.txt"
    command = [args.lk, "load-test", "--url", url, "--api-key", KEY, "--api-secret", SECRET, "--room", f"lk-{subscribers}"]
    command += ["--video-publishers", str(PUBLISHERS), "--audio-publishers", str(PUBLISHERS), "--subscribers", str(subscribers)]
    command += ["--video-codec", "vp8", "--layout", "3x3", "--num-per-second", "20", "--duration", f"{seconds}s"]
    with log.open("w") as out:
        result = measure(command, seconds + joins, server_pid, out)
    total = re.search(r"Total\s*│\s*(\d+)/(\d+)\s*│\s*(\S+)\s.*?│\s*(\d+) \(([^)]*)\)", log.read_text())
    if not total:
        sys.exit(f"lk said nothing of its total, see {log}")
    rate = re.match(r"([\d.]+)([kmg]?)bps", total[3])
    scale = {"": 1e-6, "k": 1e-3, "m": 1, "g": 1e3}[rate[2]]
    return result | {"tracks": int(total[1]), "mbit": float(rate[1]) * scale, "lost": int(total[4]), "behind": ""}


def run_greffier(args, subscribers, seconds, folder, url, server_pid):
    scenario, result_file = folder / f"ours-{subscribers}.yaml", folder / f"ours-{subscribers}.json"
    people = f"""
  - {{role: publisher, count: {PUBLISHERS}, camera: {{codec: vp8, resolution: 720p}}, microphone: {{dtx: false}}, subscribe: false}}
  - {{role: subscriber, count: {subscribers}, layout: 3x3}}"""
    scenario.write_text(f"name: beside-lk\nrooms: 1\nduration: {seconds}s\nramp: 1s\nparticipants:{people}\n")
    command = [args.greffier, "load", "run", str(scenario), "--server-url", url, "--api-key", KEY, "--api-secret", SECRET]
    with (folder / f"ours-{subscribers}.txt").open("w") as out:
        result = measure([*command, "--json", str(result_file)], seconds, server_pid, out)
    report = json.loads(result_file.read_text())
    ticks = [tick for tick in report["ticks"] if FROM * seconds <= tick["second"] <= TO * seconds]
    received = report["received"]
    return result | {
        "tracks": max(tick["tracks"] for tick in ticks),
        "mbit": sum(tick["bytes"] for tick in ticks) * 8e-6 / max(1, len(ticks)),
        "lost": received["audio"]["lost"] + received["video"]["lost"],
        "behind": "; ".join(report["verdict"]["tester_behind"]),
    }


HEAD = ["tester", "tracks", "Mbit/s", "CPU %", "per track", "MiB", "per track", "lost", "dropped", "server %", "machine %"]


def row(name, one):
    tracks = max(1, one["tracks"])
    cells = [name, one["tracks"], f"{one['mbit']:.1f}", f"{one['cpu']:.1f}", f"{one['cpu'] / tracks:.3f}", f"{one['mib']:.0f}"]
    cells += [f"{one['mib'] / tracks:.2f}", one["lost"], one["drops"], f"{one['server_cpu']:.0f}", f"{one['machine']:.0f}"]
    print("  ".join(f"{cell!s:>9}" for cell in cells), f"  {one['behind']}" if one["behind"] else "", flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_server(args, folder):
    port = free_port()
    config = {
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "rtc": {
            "tcp_port": free_port(),
            "udp_port": free_port(),
            "node_ip": "127.0.0.1",
            "enable_loopback_candidate": True,
            "ips": {"includes": ["127.0.0.1/32"]},
            "stun_servers": [f"127.0.0.1:{free_port()}"],
        },
        "keys": {KEY: SECRET},
        "logging": {"level": "warn"},
    }
    path = folder / "livekit.json"
    path.write_text(json.dumps(config))
    log = (folder / "livekit.log").open("w")
    server = subprocess.Popen([args.server, "--config", str(path)], stdout=log, stderr=log)
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server, f"ws://127.0.0.1:{port}"
        time.sleep(0.1)
    server.kill()
    sys.exit(f"the server does not answer, see {folder}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["cost", "most"])
    for program in ("lk", "greffier", "server"):
        parser.add_argument(f"--{program}", required=True)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="load-vs-lk-"))
    server, url = start_server(args, folder)
    testers = [("lk", run_lk), ("greffier", run_greffier)]
    print("  ".join(f"{cell:>9}" for cell in HEAD))
    try:
        if args.what == "cost":
            for name, run in testers:
                row(name, run(args, 8, 40, folder, url, server.pid))
            return
        for name, run in testers:
            held = 0
            for subscribers in (8, 16, 24, 32, 40, 48, 56, 64):
                one = run(args, subscribers, 20, folder, url, server.pid)
                row(name, one)
                if one["lost"] or one["drops"] or one["behind"] or one["tracks"] < 8 * subscribers:
                    break
                held = one["tracks"]
            print(f"{name}: {held} tracks without a loss", flush=True)
    finally:
        server.terminate()
        server.wait(timeout=60)
        print(f"what they said: {folder}")


main()
