#!/usr/bin/env bash
# Stops what start_livekit.sh started. Safe to call twice.
# LiveKit waits for its participants to leave before it ends; we give it five seconds.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

stop_daemon livekit-server 5
