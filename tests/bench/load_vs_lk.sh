#!/usr/bin/env bash
# Our load tester beside LiveKit's own (`lk load-test`), in one run against one server on this machine: what each costs for a
# subscribed track, and how many tracks each receives before it loses packets by itself. Takes `lk` from $LK or PATH,
# greffier from $GREFFIER_BIN or PATH, livekit-server from $LIVEKIT_SERVER or scripts/install/livekit_server.sh.
#   tests/bench/load_vs_lk.sh cost      # 4 video and 4 audio publishers, 8 subscribers in 3x3: 64 tracks; 40 s each
#   tests/bench/load_vs_lk.sh most      # more and more subscribers, 20 s each, until packets are lost
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lk=${LK:-$(command -v lk || true)}
[ -x "$lk" ] || { echo "no lk: install the LiveKit CLI, or say where it is by LK" >&2; exit 2; }
greffier=${GREFFIER_BIN:-$(command -v greffier || true)}
[ -x "$greffier" ] || { echo "no greffier: build it, and say where it is by GREFFIER_BIN" >&2; exit 2; }
server=${LIVEKIT_SERVER:-$("$here/../../scripts/install/livekit_server.sh" | tail -n 1)}
exec python3 "$here/load_vs_lk.py" "${1:-cost}" --lk "$lk" --greffier "$greffier" --server "$server"
