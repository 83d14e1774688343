//! Phrases that several renderers share.

use std::time::Duration;

use super::Tally;
use crate::{
    judge::rehearsal::{RehearsedTable, RowChanges, TableEffect},
    model::{Column, Setting, Value, Verdict},
    plan::{Change, ColumnChange, Cost, SettingChange, Step, ViewChange, ViewStep, columns},
};

/// `1 check`, `2 checks`.
pub(super) fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// A duration such as `38ms`, `2.4s` or `3m05s`.
pub(super) fn duration(elapsed: Duration) -> String {
    let tenths = elapsed.as_millis() / 100;
    match elapsed.as_secs() {
        0 => format!("{}ms", elapsed.as_millis()),
        1..60 => format!("{}.{}s", tenths / 10, tenths % 10),
        seconds => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

/// How long ago something was, in its two largest units: `12s`, `3m05s`, `2h05m`, `4d03h`.
pub(super) fn age(seconds: f64) -> String {
    // The server's clock and a time that it wrote may differ by a moment.
    let seconds = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default().as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{minutes}m{:02}s", seconds % 60),
        3_600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

/// The number of outcomes by verdict, the worst first, without zeros.
pub(super) fn tally(tally: Tally) -> String {
    let Tally { passed, skipped, warned, failed, errored } = tally;
    let parts = [
        (failed, Verdict::Failed),
        (errored, Verdict::Errored),
        (warned, Verdict::Warned),
        (skipped, Verdict::Skipped),
        (passed, Verdict::Passed),
    ];
    let counts: Vec<_> = parts
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, verdict)| format!("{n} {}", verdict.name()))
        .collect();
    if counts.is_empty() { "no checks".into() } else { counts.join(", ") }
}

/// A sentence on how a view changes and what that does to its readers.
pub(super) fn view(view: &ViewStep) -> String {
    let affected: Vec<String> = view.affected().map(ToString::to_string).collect();
    let tables = count(affected.len(), "stream table");
    match &view.change {
        ViewChange::Unknown(why) => {
            format!("{} ({why}): read by {}", view.change.words(), affected.join(", "))
        }
        ViewChange::Remove { becomes: None } => {
            format!("{}: {tables} no longer read it; dbt leaves it in the database", view.change.words())
        }
        ViewChange::Create { .. } | ViewChange::Query(_) | ViewChange::Remove { .. } => {
            let verb = if affected.len() == 1 { "gets" } else { "get" };
            format!("{}: {tables} {verb} different rows: {}", view.change.words(), affected.join(", "))
        }
    }
}

/// The cost of a refill, as a sentence. Without evidence it is unknown.
pub(super) fn cost(cost: &Cost) -> String {
    let Cost { rows, bytes, full_ms } = cost;
    let rows =
        rows.map_or("unknown number of rows".into(), |rows| format!("about {}", count_i64(rows, "row")));
    let bytes = bytes.map_or("unknown size".into(), size);
    let wait = full_ms.and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok());
    let wait = wait.map_or("for an unknown time (no full refresh was timed)".into(), |time| {
        format!("about {} (as long as its last full refreshes)", duration(time))
    });
    format!("{rows}, {bytes}; readers wait {wait}")
}

pub(super) fn count_i64(number: i64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// A size in steps of 1024, as PostgreSQL's `pg_size_pretty` formats it.
pub(super) fn size(bytes: i64) -> String {
    let mut rest = bytes;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if rest < 10 * 1024 {
            return format!("{rest} {unit}");
        }
        rest /= 1024;
    }
    format!("{rest} TB")
}

/// The settings that a change sets, each as a name and a phrase.
pub(super) fn settings(change: &Change, arrow: &str) -> Vec<(&'static str, String)> {
    match change {
        Change::Create { settings, .. } => settings.iter().map(new_setting).collect(),
        other @ (Change::Alter(_)
        | Change::AlterQuery { .. }
        | Change::Recreate { .. }
        | Change::Drop
        | Change::Keep) => other.settings().iter().map(|setting| changed_setting(setting, arrow)).collect(),
    }
}

/// A label and a sentence about a table.
pub(super) struct Fact {
    pub label: &'static str,
    pub text: String,
    /// Whether the change loses or fails something, or differs from its plan.
    pub is_bad: bool,
}

fn fact(label: &'static str, text: String) -> Fact {
    Fact { label, text, is_bad: false }
}

fn bad(label: &'static str, text: String) -> Fact {
    Fact { is_bad: true, ..fact(label, text) }
}

/// More about a step.
pub(super) fn facts(step: &Step) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Change::Create { replaces: Some(kind), .. } = &step.change {
        facts.push(fact("replaces", format!("drops the existing {kind} with its contents")));
    }
    facts.extend(step.failure.iter().map(|failure| bad("fails", failure.clone())));
    facts.extend(step.reasons.iter().map(|reason| fact("because", reason.clone())));
    facts.extend(step.columns.iter().map(|change| fact("column", column(change))));
    facts.extend(step.unknown.iter().map(|unknown| fact("unknown", unknown.clone())));
    facts.extend(step.cost.as_ref().map(|known| fact("refill", cost(known))));
    facts.extend(step.lost.iter().map(|what| bad("lost", what.clone())));
    if !step.readers.is_empty() {
        facts.push(fact("read by", step.readers.join(", ")));
    }
    facts.extend(difference_to_dbt(step).map(|text| fact("dbt", text)));
    facts
}

/// What `dbt run` does differently from this plan.
fn difference_to_dbt(step: &Step) -> Option<String> {
    if let Some(kind) = &step.becomes {
        return Some(format!("`dbt run` drops it without asking and creates a {kind} with that name"));
    }
    let sentence = match &step.change {
        Change::Drop => Some("`dbt run` does not drop it; `pgtrickle-ci apply` and `run` do"),
        Change::Recreate { .. } if step.refused => {
            Some("`dbt run` does this without asking, unless the model sets `on_recreate: fail`")
        }
        Change::Create { replaces: Some(_), .. } if step.refused => {
            Some("`dbt run` does this without asking")
        }
        Change::Create { .. }
        | Change::Alter(_)
        | Change::AlterQuery { .. }
        | Change::Recreate { .. }
        | Change::Keep => None,
    };
    sentence.map(ToOwned::to_owned)
}

/// More about a rehearsed table.
pub(super) fn observations(table: &RehearsedTable) -> Vec<Fact> {
    let mut observations: Vec<_> =
        table.surprises.iter().map(|surprise| bad("surprise", surprise.clone())).collect();
    observations.extend(table.warnings.iter().map(|warning| fact("warning", warning.clone())));
    observations.extend(table.reasons.iter().map(|reason| fact("because", reason.clone())));
    let is_gap = table.without_rows > Duration::ZERO && table.observed != TableEffect::Dropped;
    if is_gap {
        observations.push(fact("unreadable", format!("for {}", duration(table.without_rows))));
    }
    if table.exists_before_and_after() {
        let changes = columns::changes(&table.columns_before, &table.columns_after);
        observations.extend(changes.iter().map(|change| fact("column", column(change))));
    }
    let Some(contents) = &table.contents else { return observations };
    observations.extend(contents.sentence().map(|rows| fact("rows", rows)));
    let changes = contents.difference.iter().flat_map(RowChanges::lines);
    observations.extend(changes.map(|(label, text)| fact(label, text)));
    observations
}

fn column(change: &ColumnChange) -> String {
    let shown = |column: &Column| format!("{} {}", column.name, type_name(&column.r#type));
    match change {
        ColumnChange::Added(column) => format!("+ {}", shown(column)),
        ColumnChange::Removed(column) => format!("- {}", shown(column)),
        ColumnChange::Retyped { from, to } => format!("~ {} -> {}", shown(from), type_name(&to.r#type)),
    }
}

/// The usual SQL name of a type.
fn type_name(internal: &str) -> String {
    if let Some(element) = internal.strip_prefix('_') {
        return format!("{}[]", type_name(element));
    }
    match internal {
        "bool" => "boolean",
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "bpchar" => "character",
        other => other,
    }
    .to_owned()
}

fn new_setting((setting, value): &(Setting, Value)) -> (&'static str, String) {
    (setting.name(), value.to_string())
}

fn changed_setting(change: &SettingChange, arrow: &str) -> (&'static str, String) {
    let shown =
        |value: &Option<Value>| value.as_ref().map_or_else(|| "unset".to_owned(), ToString::to_string);
    (change.setting.name(), format!("{} {arrow} {}", shown(&change.from), shown(&change.to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_readable_unit() {
        let shown = [38, 2_449, 59_990, 185_000].map(|ms| duration(Duration::from_millis(ms)));
        assert_eq!(shown, ["38ms", "2.4s", "59.9s", "3m05s"]);
    }

    #[test]
    fn ages_have_two_units() {
        let shown = [-0.5, 12.9, 185.0, 7_512.0, 356_400.0, f64::NAN].map(age);
        assert_eq!(shown, ["0s", "12s", "3m05s", "2h05m", "4d03h", "0s"]);
    }

    #[test]
    fn a_cost_is_unknown_without_evidence() {
        let known = Cost { rows: Some(1204), bytes: Some(3_000_000), full_ms: Some(2_449.0) };
        assert_eq!(
            cost(&known),
            "about 1204 rows, 2929 kB; readers wait about 2.4s (as long as its last full refreshes)"
        );
        assert_eq!(
            cost(&Cost::default()),
            "unknown number of rows, unknown size; readers wait for an unknown time (no full refresh was timed)"
        );
        assert_eq!([0, 10_239, 10_240, 1 << 50].map(size), ["0 bytes", "10239 bytes", "10 kB", "1024 TB"]);
    }

    #[test]
    fn a_tally_omits_zeros() {
        assert_eq!(tally(Tally { passed: 3, failed: 1, ..Tally::default() }), "1 failed, 3 passed");
        assert_eq!(tally(Tally::default()), "no checks");
    }
}
