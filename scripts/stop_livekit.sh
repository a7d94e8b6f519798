#!/usr/bin/env bash
# Stops what start_livekit.sh started. Safe to call twice.
# An empty LiveKit server takes five seconds to end, one with participants waits for them; it gets eight.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

stop_daemon livekit-server 8
