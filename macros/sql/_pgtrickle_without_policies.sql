{#
  The statements of PL/pgSQL as a block in which a policy that hides rows from the role is an error: a table that is filled
  under it lacks them for good (docs/pg_trickle.md, Row level security).
#}
{% macro _pgtrickle_without_policies(statements) %}
declare
  row_security constant text := pg_catalog.current_setting('row_security');
begin
  perform pg_catalog.set_config('row_security', 'off', true);
  {{ statements }}
  perform pg_catalog.set_config('row_security', row_security, true);
end;
{% endmacro %}
