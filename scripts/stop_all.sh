#!/usr/bin/env bash
# Stops what start_all.sh started: Greffier first, so that it leaves its rooms and seals its recordings while the LiveKit
# server is still there. Safe to call twice.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# It stops by itself within a minute, however much it has to seal.
stop_daemon greffier 65
"$GREFFIER_ROOT/scripts/stop_livekit.sh"
