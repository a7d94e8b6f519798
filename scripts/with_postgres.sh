#!/usr/bin/env bash
# Runs a command beside a PostgreSQL server that is there for it alone: in a temporary folder, on a loopback port, with a
# password of its own. GREFFIER_TEST_POSTGRES names it. When the command ends, the server ends and its folder goes.
#   scripts/with_postgres.sh cargo test -p greffier-store
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ "$#" -gt 0 ] || die "usage: $0 COMMAND…"

# Debian keeps the server's programs off PATH, one folder for each version.
bin=
for folder in /usr/lib/postgresql/*/bin; do
  [ ! -x "$folder/initdb" ] || bin=$folder
done
if [ -z "$bin" ] && have initdb; then
  bin=$(dirname "$(readlink -f "$(command -v initdb)")")
fi
[ -n "$bin" ] || die "there is no PostgreSQL server here: scripts/install/debian.sh test"

# It refuses to run as root.
as_server=()
if [ "$(id -u)" -eq 0 ]; then
  as_server=(runuser --user postgres --)
fi
work=$(mktemp --directory --tmpdir greffier-postgres.XXXXXX)
# shellcheck disable=SC2317  # called by the trap
finish() {
  "${as_server[@]}" "$bin/pg_ctl" stop --pgdata "$work/data" --mode immediate --silent >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

password=$(od --address-radix n --format x1 --read-bytes 16 /dev/urandom | tr -d ' \n')
printf '%s\n' "$password" >"$work/password"
[ "$(id -u)" -ne 0 ] || chown -R postgres "$work"
# Nobody misses what a power failure takes from a test.
cd "$work"
"${as_server[@]}" "$bin/initdb" --pgdata "$work/data" --username greffier --pwfile "$work/password" --encoding UTF8 \
  --locale C.UTF-8 --auth scram-sha-256 --no-sync >"$work/initdb.log" 2>&1 ||
  { cat "$work/initdb.log" >&2 && die "initdb failed"; }
cat >>"$work/data/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
unix_socket_directories = '$work'
max_connections = 400
fsync = off
synchronous_commit = off
full_page_writes = off
END

port=
for candidate in $(seq 15432 15531); do
  if ! (: <"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null &&
    "${as_server[@]}" "$bin/pg_ctl" start --pgdata "$work/data" --log "$work/server.log" --wait --timeout 30 \
      --options "-p $candidate" --silent >/dev/null 2>&1; then
    port=$candidate
    break
  fi
done
[ -n "$port" ] || { tail -n 20 "$work/server.log" >&2 && die "PostgreSQL did not start"; }
cd "$OLDPWD"

export GREFFIER_TEST_POSTGRES=postgres://greffier:$password@127.0.0.1:$port/postgres
say "PostgreSQL $("$bin/postgres" --version | cut -d ' ' -f 3) is there for this on port $port"
"$@"
