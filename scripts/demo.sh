#!/usr/bin/env bash
# Gates the project in integration_tests/, then changes it and gates it again on top of the first deployment.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "$0")/setup.sh"

out=target/demo

if [[ "${1:-}" != --inside ]]; then
  rm -rf "$out"
  mkdir -p "$out"
  exec pgtrickle-ci ephemeral --engine "${PGTRICKLE_CI_ENGINE:-auto}" -- "scripts/demo.sh" --inside
fi

title() {
  printf '\n=== %s\n\n' "$1"
}

title "1. The project is deployed"
pgtrickle-ci run --project-dir integration_tests --profiles-dir integration_tests --database-url "$DATABASE_URL" \
  --junit "$out/first.xml" --markdown "$out/first.md" --json "$out/first.json"

title "2. The same project with a changed query, schedule and partition key, a new model and one removed"
project=$out/project
cp -R integration_tests "$project"
rm -rf "$project/target" "$project/logs" "$project/dbt_packages" "$project/package-lock.yml"
printf 'packages:\n  - local: %s\n' "$root" >"$project/packages.yml"
models=$project/models
edit() { # portable between the seds of Linux and macOS
  sed "$1" "$2" >"$2.new" && mv "$2.new" "$2"
}
edit 's/^  total$/  total,\n  orders/' "$models/big_customers.sql"
edit 's/sum(amount) as total$/sum(amount) as total, count(*) as orders/' "$project/tests/big_customers_match_the_seed.sql"
edit "s/'schedule': '2m'/'schedule': '30s'/" "$models/customer_stats.sql"
edit "s/'schedule': '5m'/'schedule': '5m', 'partition_by': 'LIST:status'/" "$models/order_extremes.sql"
rm "$models/paid_totals.sql" "$project/tests/paid_totals_match_the_seed.sql"
# The removed model's entry goes with it, or dbt warns of it.
sed '/^  - name: paid_totals$/,/^  - name: /{/^  - name: paid_totals$/d;/^    /d;}' "$models/_models.yml" >"$models/_models.yml.new"
mv "$models/_models.yml.new" "$models/_models.yml"
cat >"$models/orders_by_day.sql" <<'SQL'
{{ config(materialized='stream_table', meta={'pgtrickle': {'schedule': '1m'}}) }}
select
  ordered_at::date as day,
  count(*) as orders
from {{ ref('raw_orders') }}
group by ordered_at::date
SQL

pgtrickle-ci run --project-dir "$project" --profiles-dir "$project" --database-url "$DATABASE_URL" --allow-drop paid_totals --allow-recreate order_extremes \
  --junit "$out/second.xml" --markdown "$out/second.md" --json "$out/second.json"

printf '\nThe JUnit files are %s and %s,\nthe comments for the pull request %s and %s.\n' \
  "$out/first.xml" "$out/second.xml" "$out/first.md" "$out/second.md"
