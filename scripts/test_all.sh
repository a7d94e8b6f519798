#!/usr/bin/env bash
# Everything that must be green, on a fresh machine or on this one: installs what is missing, then checks, lints and tests
# everything, end to end. About an hour on two cores the first time, less after. All steps run even if one fails.
#   scripts/test_all.sh            # all
#   scripts/test_all.sh quick      # without the end-to-end suites
# shellcheck disable=SC2317  # functions are called by name, through step
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case ${1:-all} in
  all | quick) what=${1:-all} ;;
  *) die "usage: $0 [quick]" ;;
esac
cd "$GREFFIER_ROOT"
# A missing server, browser or codec is a failure, not a reason to pass a test over.
export CI=${CI:-true}
. scripts/install/all.sh build run test
scripts/install/livekit_server.sh >/dev/null
PATH=$(scripts/install/test_tools.sh):$PATH

results=()
failed=0
# step NAME COMMAND…: runs it, notes how it ended and how long it took.
step() {
  local name=$1 began=$SECONDS result=ok
  shift
  say "" "== $name: $*"
  "$@" || result=FAILED
  [ "$result" = ok ] || failed=1
  results+=("$(printf '%-6s %5d s  %s' "$result" $((SECONDS - began)) "$name")")
}

shell_scripts() { shellcheck --external-sources --source-path=SCRIPTDIR scripts/*.sh scripts/install/*.sh .ci/run; }
pages() {
  [ -f web/package.json ] || return 0
  build_pages && (cd web && npm run --if-present lint && npm test && npm run size)
}
# What belongs to a suite's own process is bounded; the whole is too.
e2e() { timeout --kill-after=30 "$1" cargo test --workspace --locked --test "$2" -- --test-threads=1; }

step "shell scripts" shell_scripts
step "format" cargo fmt --all --check
step "pages" pages
step "lints" cargo clippy --workspace --all-targets --locked -- -D warnings
# Always the whole workspace with its tests, then one part of it: libraries are built once only if they are asked for the
# same features, and tests ask for more.
step "build" cargo build --workspace --lib --bins --tests --locked
# The store's tests run on SQLite and on PostgreSQL.
step "unit tests" scripts/with_postgres.sh timeout --kill-after=30 900 cargo test --workspace --lib --bins --locked
step "interoperability" timeout --kill-after=30 300 cargo test --workspace --test webrtc_rs --locked
step "harness" timeout --kill-after=30 300 cargo test --workspace --test architecture --test deployment --test analyser --locked
step "renders" timeout --kill-after=30 900 cargo test --workspace --test renders --locked
if [ "$what" = all ]; then
  step "end to end: sdk" e2e 300 sdk
  # One at a time: they judge what happens by the clock, and share two cores with the people they stand for.
  for suite in tests/tests/*.rs tests/tests/*/main.rs; do
    suite=${suite#tests/tests/}
    suite=${suite%/main.rs}
    suite=${suite%.rs}
    case $suite in
      architecture | analyser | deployment) ;;
      *) step "end to end: $suite" e2e 900 "$suite" ;;
    esac
  done
fi

say ""
printf '%s\n' "${results[@]}"
exit "$failed"
