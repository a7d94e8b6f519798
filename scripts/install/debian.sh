#!/usr/bin/env bash
# Installs the Debian packages of the lists beside this file that are not there yet.
#   scripts/install/debian.sh build run test
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

[ "$#" -gt 0 ] || die "name the lists to install: build, run, test"
have apt-get || die "this is no Debian system; install the packages of scripts/install/*.txt by hand"

missing=()
while IFS= read -r package; do
  state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done < <(package_list "$@" | sort -u)

if [ "${#missing[@]}" -eq 0 ]; then
  say "Debian packages ($*): all there"
  exit 0
fi
say "installing ${missing[*]}"
as_root apt-get update --quiet=2
as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends "${missing[@]}" >&2
