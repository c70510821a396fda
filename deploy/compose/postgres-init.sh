# Runs once, when the database is made: the notifier's own role and database. The role is no superuser, and owns no more
# than that database.
psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" <<'SQL'
\set password `cat /run/secrets/postgres-password`
CREATE ROLE sallyport LOGIN PASSWORD :'password';
CREATE DATABASE sallyport OWNER sallyport;
REVOKE ALL ON DATABASE sallyport FROM PUBLIC;
SQL
