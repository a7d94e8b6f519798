#!/usr/bin/env bash
# Installs the programs of test_tools.txt into .cache/tools if they are not there yet; prints the folder to be put on PATH
# (nothing else goes to stdout). Only these programs are in it: no Python of theirs comes before the machine's own.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

PROGRAMS="moto_server yamllint hadolint kubernetes-validate"
list=$GREFFIER_ROOT/scripts/install/test_tools.txt
folder=$GREFFIER_CACHE/tools

mkdir -p "$GREFFIER_CACHE"
# Two callers at once: the second waits, and finds them there.
exec 9>"$folder.lock"
flock 9
if ! cmp --silent "$list" "$folder/.stamp"; then
  have python3 || die "there is no Python 3 here: scripts/install/debian.sh test"
  say "installing the tests' tools into $folder"
  rm -rf "$folder"
  python3 -m venv "$folder/venv" || die "Python cannot make a virtual environment: install python3-venv"
  "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --requirement "$list" >&2
  mkdir "$folder/bin"
  for program in $PROGRAMS; do
    ln -s "../venv/bin/$program" "$folder/bin/$program"
  done
  cp "$list" "$folder/.stamp"
fi
echo "$folder/bin"
