{#
  SQL for the last two times that a cron expression named, the latest first: five fields, or six with seconds in front, in
  UTC, looked up to five years back. Null for an expression that is not understood or names no time. `pgtrickle-ci check`
  reads the same (src/judge/cron.rs).
#}
{% macro _pgtrickle_cron_times_sql(expression) -%}
(
      with named (fields) as (
        select case when cardinality(fields) = 6 then fields[2:6] when cardinality(fields) = 5 then fields end
        from regexp_split_to_array(
          case lower(btrim({{ expression }}))
            when '@yearly' then '0 0 1 1 *' when '@annually' then '0 0 1 1 *' when '@monthly' then '0 0 1 * *'
            when '@weekly' then '0 0 * * 0' when '@daily' then '0 0 * * *' when '@midnight' then '0 0 * * *'
            when '@hourly' then '0 * * * *' else lower(btrim({{ expression }}))
          end, '\s+') as fields
      ),

      parts as (
        select
          field.nth, field.least, field.most, part.word ~ '/' as has_step,
          regexp_match(part.word, '^([*?]|[0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?(?:/([0-9]{1,4}))?$') as read
        from named
        cross join (values (1, 0, 59), (2, 0, 23), (3, 1, 31), (4, 1, 12), (5, 0, 7)) as field (nth, least, most)
        cross join unnest(string_to_array(named.fields[field.nth], ',')) as part (word)
      ),

      ranges as (
        select
          nth, least, most, coalesce(read[3], '1')::int as step,
          case when read[1] in ('*', '?') then least else number.values[1] end as first,
          case when read[1] in ('*', '?') then most when read[2] is not null then number.values[2] when has_step then most else number.values[1] end as last
        from parts
        cross join lateral (
          select array_agg(
            case
              when word ~ '^[0-9]+$' then word::int
              when nth = 4 then array_position('{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}'::text[], word)
              when nth = 5 then array_position('{sun,mon,tue,wed,thu,fri,sat}'::text[], word) - 1
            end order by place) as values
          from unnest(read[1:2]) with ordinality as end_of (word, place)
        ) as number
      ),

      meant as (
        select nth, array_agg(value % case when nth = 5 then 7 else 60 end) as numbers
        from ranges
        left join lateral generate_series(first, last, greatest(step, 1)) as value on true
        group by nth
        having bool_and(step > 0 and first between least and most and last between least and most)
      ),

      days as (
        select day
        from named
        cross join (select (clock_timestamp() at time zone 'UTC')::date - back as day from generate_series(0, 5 * 366) as back) as calendar
        cross join lateral (
          select
            (select extract(day from day)::int = any (numbers) from meant where nth = 3) as in_days,
            (select extract(dow from day)::int = any (numbers) from meant where nth = 5) as in_weekdays
        ) as is_named
        where (select count(*) from meant) = 5
          and (select extract(month from day)::int = any (numbers) from meant where nth = 4)
          -- If both fields restrict the day, either may match; otherwise both must.
          and case when fields[3] ~ '^[*?]' or fields[5] ~ '^[*?]' then in_days and in_weekdays else in_days or in_weekdays end
        order by day desc
        limit 3
      )

      select case when count(*) = 2 then array_agg(named_time order by named_time desc) end
      from (
        select (day + make_time(hour, minute, 0)) at time zone 'UTC' as named_time
        from days
        cross join unnest((select numbers from meant where nth = 2)) as hour
        cross join unnest((select numbers from meant where nth = 1)) as minute
        where (day + make_time(hour, minute, 0)) at time zone 'UTC' <= clock_timestamp()
        group by 1
        order by 1 desc
        limit 2
      ) as latest
    )
{%- endmacro %}
