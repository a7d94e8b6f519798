#!/usr/bin/env bash
# Installs Rust where there is none, or none that is new enough for the root Cargo.toml's `rust-version`; prints the folder
# of its programs (nothing else goes to stdout). It changes nobody's default toolchain and no shell's start files.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$GREFFIER_ROOT/Cargo.toml")
[ -n "$wanted" ] || die "the root Cargo.toml has no rust-version"

# new_enough VERSION: whether it is the wanted one or a later one.
new_enough() { [ "$(printf '%s\n%s\n' "$wanted" "$1" | sort --version-sort | head -n 1)" = "$wanted" ]; }

# version_of CARGO: its version, or nothing if it does not run.
version_of() { "$1" --version 2>/dev/null | sed -n 's/^cargo \([0-9.]*\).*/\1/p'; }

# rustup puts itself there; a login shell would find it, a script need not.
PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
if have cargo && new_enough "$(version_of cargo)"; then
  dirname "$(command -v cargo)"
  exit 0
fi

if ! have rustup; then
  have curl || die "neither Rust nor curl is here: install Rust $wanted from https://rustup.rs"
  say "installing rustup and Rust $wanted"
  installer=$(mktemp)
  trap 'rm -f "$installer"' EXIT
  # Not run where this was developed: there, Rust was installed already.
  curl --fail --silent --show-error --proto '=https' --tlsv1.2 --retry 3 --max-time 300 \
    --output "$installer" https://sh.rustup.rs
  sh "$installer" -y --no-modify-path --profile minimal --default-toolchain none >&2
  have rustup || die "rustup was installed, but is not in ${CARGO_HOME:-$HOME/.cargo}/bin"
fi
rustup toolchain list | grep -q "^$wanted" ||
  rustup toolchain install "$wanted" --profile minimal --component rustfmt --component clippy >&2
dirname "$(rustup which --toolchain "$wanted" cargo)"
