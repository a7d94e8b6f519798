#!/usr/bin/env bash
# Starts the LiveKit server of livekit.yaml (or of the file given) in the background and waits until it answers.
# Safe to call twice. Process id and log: run/livekit-server.pid, run/livekit-server.log.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

config=${1:-$GREFFIER_ROOT/livekit.yaml}
[ -r "$config" ] || die "cannot read $config"
# The top-level `port:` of the file; LiveKit has no way to ask it.
port=$(sed -n 's/^port:[[:space:]]*\([0-9][0-9]*\).*/\1/p' "$config")
[ -n "$port" ] || die "$config has no top-level port"
url=http://127.0.0.1:$port

if pid=$(pid_of livekit-server); then
  say "livekit-server is running already (process $pid)"
  wait_for_http "$url" livekit-server
  exit 0
fi
if curl --silent --output /dev/null --max-time 2 "$url"; then
  die "something else answers on port $port already; end it first, or give another configuration"
fi

server=$("$GREFFIER_ROOT/scripts/install/livekit_server.sh")
start_daemon livekit-server "$server" --config "$config"
wait_for_http "$url" livekit-server
say "livekit-server is ready: ws://127.0.0.1:$port (log: $GREFFIER_RUN/livekit-server.log)"
