#!/bin/sh
# Makes the database if the volume has none, then runs the server. As the official image does: POSTGRES_USER (postgres),
# POSTGRES_DB (as the user), POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE, and the scripts of /docker-entrypoint-initdb.d.
set -eu
export POSTGRES_USER="${POSTGRES_USER:-postgres}"
export POSTGRES_DB="${POSTGRES_DB:-$POSTGRES_USER}"

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE"); fi
    : "${POSTGRES_PASSWORD:?POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE is needed to make the database}"
    export PGPASSWORD="$POSTGRES_PASSWORD"
    umask 077
    mkdir -p "$PGDATA"
    printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
    initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 --encoding=UTF8 --no-locale \
        -D "$PGDATA"
    rm /tmp/password
    printf 'host all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
    printf "listen_addresses = '*'\nunix_socket_directories = '/run/postgresql,/tmp'\n" >> "$PGDATA/postgresql.conf"
    # Until all is made, nobody is let in from outside.
    shift
    pg_ctl -D "$PGDATA" -w -o "-c listen_addresses='' $*" start
    if [ "$POSTGRES_DB" != postgres ]; then createdb --username="$POSTGRES_USER" --maintenance-db=postgres "$POSTGRES_DB"; fi
    export PGDATABASE="$POSTGRES_DB"
    for script in /docker-entrypoint-initdb.d/*.sh; do
        # shellcheck disable=SC1090 - whatever is mounted there
        [ -r "$script" ] && . "$script"
    done
    pg_ctl -D "$PGDATA" -w -m fast stop
    unset PGPASSWORD PGDATABASE POSTGRES_PASSWORD
    set -- postgres "$@"
fi
umask 022
exec "$@" -D "$PGDATA"
