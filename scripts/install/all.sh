# shellcheck shell=bash
# What every script that builds needs, installed where it is missing and put on PATH. To be sourced after lib.sh:
#   . scripts/install/all.sh build run
# The arguments are lists of Debian packages (scripts/install/*.txt).

if have apt-get; then
  "$GREFFIER_ROOT/scripts/install/debian.sh" "$@"
else
  say "this is no Debian system: the packages of scripts/install/{$(IFS=, && echo "$*")}.txt are taken to be there"
fi
PATH=$("$GREFFIER_ROOT/scripts/install/rust.sh"):$PATH
if [ -f "$GREFFIER_ROOT/web/package.json" ]; then
  PATH=$("$GREFFIER_ROOT/scripts/install/node.sh"):$PATH
fi
export PATH

# build_pages: builds web/ into web/dist, from where it goes into the binary, unless nothing changed since the last time.
build_pages() {
  local web=$GREFFIER_ROOT/web
  [ -f "$web/package.json" ] || return 0
  if [ "$web/package-lock.json" -nt "$web/node_modules/.package-lock.json" ]; then
    (cd "$web" && npm ci --no-audit --no-fund >&2) || return
  fi
  # Whatever is newer than the last build, its own products aside.
  if [ ! -f "$web/dist/index.html" ] || [ -n "$(find "$web" "$GREFFIER_ROOT/api/openapi.json" \
    -newer "$web/dist/index.html" -type f -not -path '*/node_modules/*' -not -path '*/dist/*' -print -quit 2>/dev/null)" ]; then
    (cd "$web" && npm run build >&2)
  fi
}
