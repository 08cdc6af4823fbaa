#!/bin/sh
# Runs once, when the database is made: the restricted role that the API and the worker use.
# `migrate` grants it what it needs.
set -eu
psql --set=ON_ERROR_STOP=1 --set=password="$APP_PASSWORD" \
  --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
create role atelier_app login password :'password';
revoke create on schema public from public;
SQL
