#!/usr/bin/env bash
# Finds livekit-server or installs the pinned version into .cache/bin, and prints its path (nothing else goes to stdout).
# In this order: $LIVEKIT_SERVER, .cache/bin, PATH, built with Go, the project's release archive.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

VERSION=1.13.5
BIN=$GREFFIER_CACHE/bin/livekit-server

# The digests of livekit_${VERSION}_linux_*.tar.gz in the release's checksums.txt. To be changed with VERSION.
archive_digest() {
  case $1 in
    amd64) echo c020fac437b7cc9b776eef1ad5ea8af77be9acfa07602eca20a3a44930dfbc70 ;;
    arm64) echo 332015305518765fe05bad74fc3a9d9583e635e7dd130de3c4fc563d69c550f3 ;;
    *) die "no release archive of livekit-server is known for $1; install Go and run this again" ;;
  esac
}

build_with_go() {
  say "building livekit-server $VERSION with Go (a few minutes the first time)"
  GOBIN=$work go install -trimpath "github.com/livekit/livekit-server/cmd/server@v$VERSION" >&2 || return 1
  mv "$work/server" "$work/livekit-server"
}

# Written from the release's file names and digests; where this was developed, releases could not be downloaded, so this
# function's download has not been run there (its digest check has: see tests/tests/harness/scripts.rs).
download_release() {
  local arch archive
  case $(uname -m) in
    x86_64) arch=amd64 ;;
    aarch64) arch=arm64 ;;
    *) arch=$(uname -m) ;;
  esac
  archive=livekit_${VERSION}_linux_$arch.tar.gz
  archive_digest "$arch" >/dev/null
  have curl || die "neither go nor curl is here: cannot get livekit-server"
  say "downloading $archive"
  curl --fail --location --silent --show-error --proto '=https' --proto-redir '=https' --retry 3 --max-time 600 \
    --output "$work/$archive" "https://github.com/livekit/livekit/releases/download/v$VERSION/$archive" ||
    die "cannot download livekit-server; install Go 1.26 or put livekit-server on PATH"
  unpack_checked "$work/$archive" "$(archive_digest "$arch")"
}

# unpack_checked ARCHIVE SHA256: unpacks livekit-server into $work, or dies if the archive is not the expected one.
unpack_checked() {
  printf '%s  %s\n' "$2" "$1" | sha256sum --check --status || die "$1 does not have the digest $2: not using it"
  tar --extract --gzip --file "$1" --directory "$work" livekit-server
}

main() {
  if [ -n "${LIVEKIT_SERVER:-}" ]; then
    [ -x "$LIVEKIT_SERVER" ] || die "LIVEKIT_SERVER names $LIVEKIT_SERVER, which cannot be run"
    echo "$LIVEKIT_SERVER"
    return
  fi
  if [ -x "$BIN" ]; then
    echo "$BIN"
    return
  fi
  if have livekit-server; then
    command -v livekit-server
    return
  fi
  mkdir -p "$(dirname "$BIN")"
  # Two callers at once: the second waits, and finds the binary there.
  exec 9>"$BIN.lock"
  flock 9
  if [ ! -x "$BIN" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    if ! { have go && build_with_go; }; then
      download_release
    fi
    chmod 0755 "$work/livekit-server"
    "$work/livekit-server" --version >&2
    mv "$work/livekit-server" "$BIN"
  fi
  echo "$BIN"
}

# Sourced, this file only defines its functions.
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  main
fi
