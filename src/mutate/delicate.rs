//! Which queries to verify most.

use crate::sql;

/// A weight for a query: its operators with known bugs, weighted by how often those occur.
pub fn delicacy(sql: &str) -> usize {
    let tokens: Vec<_> = sql::tokens(sql).collect();
    let weight = |at: usize| match tokens[at].as_ref() {
        "outer" | "left" | "right" | "full" | "recursive" | "over" => 3,
        "except" | "intersect" | "min" | "max" | "limit" | "having" | "exists" => 3,
        "distinct" | "union" | "rollup" | "cube" | "lateral" | "in" => 2,
        // A subquery.
        "select" if at > 0 => 2,
        "join" | "group" | "case" | "avg" => 1,
        _ => 0,
    };
    (0..tokens.len()).map(weight).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delicate_queries_weigh_more_than_plain_ones() {
        let plain = delicacy("select id, amount from orders where amount > 5");
        let sums = delicacy("select k, sum(v) from t group by k");
        let outer = delicacy("select a.k, max(b.v) from a left join b using (k) group by a.k");
        assert!(plain < sums && sums < outer, "{plain} {sums} {outer}");
    }
}
