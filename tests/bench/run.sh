#!/usr/bin/env bash
# Greffier's API beside a FastAPI service with the same two calls, in one run: a table, and target/bench/api.json.
# Needs wrk (Debian's package). GREFFIER_BIN: a release build that is there already.
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

have wrk || die "wrk is not here: scripts/install/debian.sh bench"
greffier=${GREFFIER_BIN:-}
if [ -z "$greffier" ]; then
  cargo build --release --locked --workspace --bins --manifest-path "$GREFFIER_ROOT/Cargo.toml"
  greffier=${CARGO_TARGET_DIR:-$GREFFIER_ROOT/target}/release/greffier
fi
list=$GREFFIER_ROOT/tests/bench/requirements.txt
venv=$GREFFIER_CACHE/bench
if ! cmp --silent "$list" "$venv/.stamp"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --requirement "$list" >&2
  cp "$list" "$venv/.stamp"
fi
mkdir -p "$GREFFIER_ROOT/target/bench"
"$venv/bin/python" "$GREFFIER_ROOT/tests/bench/bench.py" "$greffier" "$GREFFIER_ROOT/target/bench/api.json"
