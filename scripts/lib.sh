# shellcheck shell=bash
# What the scripts share. To be sourced, not run:  . "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
set -euo pipefail

GREFFIER_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# PID files and logs of what the scripts start; what they built or downloaded. Neither is under version control.
GREFFIER_RUN=${GREFFIER_RUN:-$GREFFIER_ROOT/run}
GREFFIER_CACHE=${GREFFIER_CACHE:-$GREFFIER_ROOT/.cache}
export GREFFIER_ROOT GREFFIER_RUN GREFFIER_CACHE

# say TEXT…: progress, to stderr, so that stdout stays free for results.
say() { printf '%s\n' "$*" >&2; }

# die TEXT…: says what is wrong and ends the script.
die() {
  say "error: $*"
  exit 1
}

# have COMMAND: whether it is on PATH.
have() { command -v "$1" >/dev/null 2>&1; }

# as_root COMMAND…: runs it as root, through sudo where we are not root already.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    die "needs root, and there is no sudo: $*"
  fi
}

# package_list NAME…: the Debian packages named in scripts/install/NAME.txt, one a line, without comments. A line
# "PACKAGE ?COMMAND" names a package that is needed only where COMMAND is not on PATH already.
package_list() {
  local name package unless
  for name in "$@"; do
    while read -r package unless; do
      if [ -z "$unless" ] || ! have "${unless#\?}"; then
        printf '%s\n' "$package"
      fi
    done < <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$GREFFIER_ROOT/scripts/install/$name.txt")
  done
}

# pid_of NAME: prints the process id in run/NAME.pid if start_daemon started that very process and it lives; fails
# otherwise (a file left behind by a crash may name an id that the system has given to someone else since).
pid_of() {
  local file=$GREFFIER_RUN/$1.pid pid
  [ -r "$file" ] || return 1
  pid=$(<"$file")
  [[ $pid =~ ^[1-9][0-9]*$ ]] || return 1
  { tr '\0' '\n' <"/proc/$pid/environ"; } 2>/dev/null | grep -qx "GREFFIER_DAEMON=$1" || return 1
  printf '%s\n' "$pid"
}

# start_daemon NAME COMMAND…: starts it in the background, cut off from this terminal, with its output appended to
# run/NAME.log and its process id in run/NAME.pid.
start_daemon() {
  local name=$1
  shift
  mkdir -p "$GREFFIER_RUN"
  GREFFIER_DAEMON=$name setsid "$@" >>"$GREFFIER_RUN/$name.log" 2>&1 </dev/null &
  printf '%s\n' "$!" >"$GREFFIER_RUN/$name.pid"
}

# stop_daemon NAME [SECONDS]: asks it to end, kills it if it has not after SECONDS (10). Safe to call twice.
stop_daemon() {
  local name=$1 seconds=${2:-10} pid tries
  if pid=$(pid_of "$name"); then
    kill -TERM "$pid" 2>/dev/null || true
    tries=$((seconds * 10))
    while [ "$tries" -gt 0 ] && pid_of "$name" >/dev/null; do
      sleep 0.1
      tries=$((tries - 1))
    done
    if pid_of "$name" >/dev/null; then
      say "$name (process $pid) did not end within $seconds s: killing it"
      kill -KILL "$pid" 2>/dev/null || true
    fi
    say "$name stopped"
  else
    say "$name is not running"
  fi
  rm -f "$GREFFIER_RUN/$name.pid"
}

# wait_for_http URL NAME [SECONDS]: returns once URL answers; fails with the end of NAME's log if its process ends first
# or SECONDS (30) pass.
wait_for_http() {
  local url=$1 name=$2 seconds=${3:-30} tries
  tries=$((seconds * 10))
  while [ "$tries" -gt 0 ]; do
    curl --silent --fail --output /dev/null --max-time 2 "$url" && return 0
    if ! kill -0 "$(<"$GREFFIER_RUN/$name.pid")" 2>/dev/null; then
      tail -n 20 "$GREFFIER_RUN/$name.log" >&2 || true
      die "$name ended before it was ready; its log is $GREFFIER_RUN/$name.log"
    fi
    sleep 0.1
    tries=$((tries - 1))
  done
  tail -n 20 "$GREFFIER_RUN/$name.log" >&2 || true
  die "$name did not answer on $url within $seconds s; its log is $GREFFIER_RUN/$name.log"
}
