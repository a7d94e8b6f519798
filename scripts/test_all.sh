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
failed=()
logs=$GREFFIER_RUN/tests
rm -rf "$logs" && mkdir -p "$logs"
# step NAME COMMAND…: runs it, notes how it ended and how long it took, and keeps what it printed.
step() {
  local name=$1 began=$SECONDS result=ok log
  shift
  log=$logs/${name//[^a-z]/-}.log
  say "" "== $name: $*"
  if ! "$@" 2>&1 | tee "$log"; then
    result=FAILED
    failed+=("$log")
  fi
  results+=("$(printf '%-6s %5d s  %s' "$result" $((SECONDS - began)) "$name")")
}
# by_the_clock SUITE SECONDS: the same for a suite that judges the sound and pictures of people who share these cores with
# it. A second try is allowed, and told: of the tests that failed, or of all if the suite did not come to its end.
by_the_clock() {
  local before=${#failed[@]} first tests=()
  step "end to end: $1" e2e "$2" "$1"
  [ "${#failed[@]}" -eq "$before" ] && return
  first=${failed[-1]%.log}.first.log
  mv "${failed[-1]}" "$first"
  unset 'failed[-1]'
  if grep -q '^test result: FAILED' "$first"; then
    mapfile -t tests < <(sed -n '/^failures:$/,$ s/^    \([[:alnum:]_:]\{1,\}\)$/\1/p' "$first")
  fi
  results[-1]="${results[-1]/FAILED/again } (failed at the first try: ${tests[*]:-it did not end})"
  step "end to end: $1" e2e "$2" "$1" --exact "${tests[@]}"
}

shell_scripts() { shellcheck --external-sources --source-path=SCRIPTDIR scripts/*.sh scripts/install/*.sh .ci/run; }
pages() {
  [ -f web/package.json ] || return 0
  build_pages && (cd web && npm run --if-present lint && npm test && npm run size)
}
# What belongs to a suite's own process is bounded; the whole is too.
# e2e SECONDS SUITE [--exact TEST…]
e2e() { timeout --kill-after=30 "$1" cargo test --workspace --locked --test "$2" -- --test-threads=1 "${@:3}"; }

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
  by_the_clock sdk 300
  by_the_clock leaving 300
  # One at a time: they judge what happens by the clock, and share two cores with the people they stand for.
  for suite in tests/tests/*.rs tests/tests/*/main.rs; do
    suite=${suite#tests/tests/}
    suite=${suite%/main.rs}
    suite=${suite%.rs}
    case $suite in
      architecture | analyser | deployment) ;;
      *) by_the_clock "$suite" 900 ;;
    esac
  done
fi

say ""
for log in "$logs"/*.first.log "${failed[@]}"; do
  [ -f "$log" ] || continue
  say "== why: $log"
  grep --after-context=12 --extended-regexp '^error|panicked at|✖|FAIL|fatal' "$log" | tail -n 60 >&2 || tail -n 20 "$log" >&2
done
printf '%s\n' "${results[@]}"
exit $((${#failed[@]} > 0))
