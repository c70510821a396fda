# Before PostgreSQL's own entry point: an image that keeps its data elsewhere than the one that filled the volume (another
# major version, another vendor) would make an empty ledger beside the full one, and nobody would be told of anything.
set -eu
volume=${1:-/var/lib/postgresql}
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    for found in "$volume"/PG_VERSION "$volume"/*/PG_VERSION "$volume"/*/*/PG_VERSION; do
        if [ -s "$found" ]; then
            echo "postgres_other_database: the volume has a database of PostgreSQL $(cat "$found") in ${found%/PG_VERSION}," \
                "and this image would make an empty one in $PGDATA: name the image that made it in POSTGRES_IMAGE, or dump" \
                "with that one and restore with this (docs/operate/compose.md)" >&2
            exit 1
        fi
    done
fi
