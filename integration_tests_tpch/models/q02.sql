select s_acctbal, s_name, n_name, p.p_partkey, p_mfgr, s_address, s_phone, s_comment
from {{ source('tpch', 'part') }} as p, {{ source('tpch', 'supplier') }}, {{ source('tpch', 'partsupp') }} as ps,
  {{ source('tpch', 'nation') }}, {{ source('tpch', 'region') }}
where p.p_partkey = ps.ps_partkey and s_suppkey = ps.ps_suppkey and p_size = 15 and p_type like '%STEEL'
  and s_nationkey = n_nationkey and n_regionkey = r_regionkey and r_name = 'EUROPE'
  and ps.ps_supplycost = (
    select min(ps2.ps_supplycost)
    from {{ source('tpch', 'partsupp') }} as ps2, {{ source('tpch', 'supplier') }} as s2,
      {{ source('tpch', 'nation') }} as n2, {{ source('tpch', 'region') }} as r2
    where p.p_partkey = ps2.ps_partkey and s2.s_suppkey = ps2.ps_suppkey and s2.s_nationkey = n2.n_nationkey
      and n2.n_regionkey = r2.r_regionkey and r2.r_name = 'EUROPE'
  )
order by s_acctbal desc, n_name, s_name, p.p_partkey
limit 100
