#!/usr/bin/env bash
# Installs what is missing, builds, starts a LiveKit server and Greffier, waits until both are ready, and prints where they
# are. Safe to call twice. Process ids and logs: run/*.pid, run/*.log.
#   scripts/start_all.sh [CONFIG [LIVEKIT_CONFIG]]      # greffier.toml and livekit.yaml unless told
# GREFFIER_RUN: the folder of process ids and logs, for several at a time. GREFFIER_PROFILE: what cargo builds (release; dev).
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

config=$(realpath "${1:-$GREFFIER_ROOT/greffier.toml}")
[ -r "$config" ] || die "cannot read $config"
livekit_config=$(realpath "${2:-$GREFFIER_ROOT/livekit.yaml}")
[ -r "$livekit_config" ] || die "cannot read $livekit_config"
profile=${GREFFIER_PROFILE:-release}

. "$GREFFIER_ROOT/scripts/install/all.sh" build run
build_pages
say "building greffier (ten minutes or more the first time)"
# A development build is built already where the tests are, if it is asked for as they ask for it.
what=(--package greffier)
[ "$profile" != dev ] || what=(--workspace --lib --bins --tests)
cargo build --profile "$profile" --locked "${what[@]}" --manifest-path "$GREFFIER_ROOT/Cargo.toml"
greffier=${CARGO_TARGET_DIR:-$GREFFIER_ROOT/target}/${profile/#dev/debug}/greffier

# Relative paths of the configuration are meant from the top of the source tree, wherever this was called.
cd "$GREFFIER_ROOT"
listen=$("$greffier" --config "$config" config show | sed -n '/^\[api\]/,/^\[/s/^listen = "\(.*\)"/\1/p')
listen=${listen:-127.0.0.1:8000}
# Who listens on every address answers on this machine's own too.
url=http://${listen/#0.0.0.0:/127.0.0.1:}

"$GREFFIER_ROOT/scripts/start_livekit.sh" "$livekit_config"

if pid=$(pid_of greffier); then
  say "greffier is running already (process $pid)"
else
  if curl --silent --output /dev/null --max-time 2 "$url"; then
    die "something else answers on $url already; end it first, or give another configuration"
  fi
  # One log for each start, the one before kept: the link for the administrator below must be this start's.
  [ ! -f "$GREFFIER_RUN/greffier.log" ] || mv -f "$GREFFIER_RUN/greffier.log" "$GREFFIER_RUN/greffier.log.1"
  start_daemon greffier "$greffier" --config "$config" serve
fi
wait_for_http "$url/readyz" greffier 60
say "greffier is ready (log: $GREFFIER_RUN/greffier.log)"

livekit_port=$(sed -n 's/^port:[[:space:]]*\([0-9][0-9]*\).*/\1/p' "$livekit_config")
livekit_keys=$(sed -n '/^keys:/,/^[^[:space:]]/s/^[[:space:]][[:space:]]*\([^:#]*\):[[:space:]]*\(.*\)/\1 \2/p' \
  "$livekit_config")
cat <<END

  Greffier        $url
  API             $url/docs
  LiveKit         ws://127.0.0.1:$livekit_port
  LiveKit keys    $livekit_keys   (development only)
END
link=$(sed -n 's/.*setup link: *\(http[^ "]*\).*/\1/p' "$GREFFIER_RUN/greffier.log" | tail -n 1)
if [ -n "$link" ]; then
  printf '\n  Open this once to become the administrator:\n  %s\n' "$link"
fi
printf '\n  Stop with       %s\n\n' "$GREFFIER_ROOT/scripts/stop_all.sh"
