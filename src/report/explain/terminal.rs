//! The explanation for a terminal.

use super::{Explained, V1Explanation, V1Readers, V1Relation, V1Source, V1Status};
use crate::{
    model::{Outcome, Setting, Value, Verdict},
    report::{
        page::{self, Page},
        terminal::{BOLD, DIM, PLAIN, Style, mark, paint_of_verdict},
        text, words,
    },
};

/// Renders the explanation for a terminal.
pub fn render(known: &Explained<'_>, style: &Style) -> String {
    let mut page = Page::new(*style);
    let table = V1Explanation::from(known);
    let name = page::shown(known.relation());
    page.put(0, BOLD, &format!("{name}: a stream table at {}", text::line(&table.target)));
    page.put(0, PLAIN, &format!("engine: {}", known.engine.describe()));
    if let Some(model) = &table.model {
        let file = model.file.as_ref().map(|file| format!(" ({})", text::line(file))).unwrap_or_default();
        page.put(0, PLAIN, &format!("model: {}{file}", text::line(&model.unique_id)));
    }
    page.blank();
    put_state(&mut page, known, &table);
    put_reads(&mut page, known, &table);
    put_readers(&mut page, &table.readers);
    put_outcomes(&mut page, known.outcomes);
    page.blank();
    page.put(0, BOLD, "query");
    for line in table.query.trim_matches('\n').lines() {
        page.put_code(2, PLAIN, "", line);
    }
    page.text
}

fn put_state(page: &mut Page, known: &Explained<'_>, table: &V1Explanation) {
    page.put(0, PLAIN, &format!("status: {}", status(known, &table.status)));
    let mode = &table.refresh_mode;
    let deployed = mode.deployed.as_deref().unwrap_or("unknown");
    let requested = mode.requested.as_deref().filter(|requested| *requested != deployed);
    let requested = requested.map(|requested| format!(", requested as {requested}")).unwrap_or_default();
    // A new table has its mode as the effective one, although it was populated in full.
    let effective = mode.effective.as_deref().filter(|effective| *effective != deployed);
    let effective = effective.map(|effective| format!("; the last refresh was {effective}"));
    let why = mode.why.as_ref().map(|why| format!(": {}", text::line(why)));
    let line = format!(
        "refresh mode: {deployed}{requested}{}{}",
        effective.unwrap_or_default(),
        why.unwrap_or_default()
    );
    page.put(0, PLAIN, &line);
    let line = |(setting, value): (Setting, &Value)| {
        format!("{} {}", setting.name(), text::line(&value.to_string()))
    };
    let (schedule, others): (Vec<_>, Vec<_>) =
        known.settings().partition(|(setting, _)| *setting == Setting::Schedule);
    for (setting, value) in schedule {
        page.put(0, PLAIN, &format!("{}: {}", setting.name(), text::line(&value.to_string())));
    }
    if !others.is_empty() {
        let others: Vec<String> = others.into_iter().map(line).collect();
        page.put(0, PLAIN, &format!("other settings: {}", others.join(", ")));
    }
    page.put(0, PLAIN, &format!("cost of a refill: {}", words::cost(&known.cost)));
}

/// The status, and how long ago rows were refreshed and changed.
fn status(known: &Explained<'_>, status: &V1Status) -> String {
    let health = &known.deployed.health;
    let ago = |then: Option<f64>| Some(words::age(known.now()? - then?));
    let populated = if status.is_populated { "populated" } else { "never populated" };
    let mut parts = vec![text::line(&status.status), populated.to_owned()];
    parts.extend(ago(health.last_refresh_at).map(|ago| format!("refreshed {ago} ago")));
    parts.extend(ago(health.data_timestamp).map(|ago| format!("rows changed {ago} ago")));
    if !status.gated_by.is_empty() {
        parts.push(format!("held back by the gated source {}", text::line(&status.gated_by.join(", "))));
    }
    parts.extend(status.error.as_ref().map(|error| format!("last error: {}", text::line(error))));
    parts.join(", ")
}

fn put_reads(page: &mut Page, known: &Explained<'_>, table: &V1Explanation) {
    page.blank();
    page.put(0, BOLD, "reads");
    match (&table.reads, &known.evidence.facts) {
        (Some(sources), _) if sources.is_empty() => page.put(2, PLAIN, "no table"),
        (Some(sources), _) => sources.iter().for_each(|source| page.put(2, PLAIN, &reads(source))),
        (None, Err(missing)) => page.put(2, PLAIN, &format!("cannot tell: {}", text::line(&missing.why))),
        (None, Ok(_)) => page.put(2, PLAIN, "cannot tell: the server reports nothing about this table"),
    }
}

fn reads(source: &V1Source) -> String {
    let captured = match source.capture.as_deref() {
        Some("trigger") => ", captured by triggers",
        Some("wal") => ", captured from the WAL",
        Some("transitioning") => ", changing over to capture from the WAL",
        Some("immediate") => ", followed within each write",
        Some(_) | None => "",
    };
    let buffer = source.buffer.as_ref().map(|buffer| {
        let size = buffer.bytes.map_or_else(|| "does not exist".to_owned(), words::size);
        format!(", buffer {} ({size})", shown(&buffer.relation))
    });
    let slot = source.slot.as_ref().map(|slot| {
        #[expect(clippy::cast_possible_truncation, reason = "bytes of WAL")]
        let lag = slot.lag_bytes.map(|lag| format!(", {} behind", words::size(lag as i64)));
        let lost = if slot.is_lost { ", has lost changes" } else { "" };
        format!(", slot {}{}{lost}", text::line(&slot.name), lag.unwrap_or_default())
    });
    let kind = text::line(&source.kind.replace('_', " "));
    let name = shown(&source.relation);
    format!("{name}: {kind}{captured}{}{}", buffer.unwrap_or_default(), slot.unwrap_or_default())
}

fn shown(relation: &V1Relation) -> String {
    text::line(&format!("{}.{}", relation.schema, relation.name))
}

fn put_readers(page: &mut Page, readers: &V1Readers) {
    page.blank();
    page.put(0, BOLD, "read by");
    let tables = readers.stream_tables.iter().map(|table| format!("{}: stream table", shown(table)));
    let declared = readers.models.iter().flatten();
    let models = declared
        .clone()
        .map(|model| format!("{}: model, {}", shown(&model.relation), text::line(&model.kind)));
    let is_model = |view: &&V1Relation| declared.clone().any(|model| model.relation == **view);
    let views =
        readers.views.iter().filter(|view| !is_model(view)).map(|view| format!("{}: view", shown(view)));
    let exposures = readers.exposures.iter().flatten().map(|exposure| {
        let owner = exposure.owner.as_ref().map(|owner| format!(", owned by {}", text::line(owner)));
        format!("{}: exposure{}", text::line(&exposure.name), owner.unwrap_or_default())
    });
    let lines: Vec<String> = tables.chain(models).chain(views).chain(exposures).collect();
    if lines.is_empty() {
        page.put(2, PLAIN, "nothing that is known here");
    }
    for line in lines {
        page.put(2, PLAIN, &line);
    }
}

fn put_outcomes(page: &mut Page, outcomes: &[Outcome]) {
    page.blank();
    page.put(0, BOLD, "checks");
    for outcome in outcomes {
        let Outcome { stage, subject, verdict, message, .. } = outcome;
        let line = format!(
            "{} {} {}: {}",
            mark(*verdict),
            stage.name(),
            text::line(&subject.to_string()),
            text::line(message)
        );
        page.put(2, if *verdict == Verdict::Passed { PLAIN } else { paint_of_verdict(*verdict) }, &line);
        if *verdict != Verdict::Passed {
            outcome.details.iter().for_each(|detail| page.put(6, DIM, detail));
        }
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;
    use crate::report::{explain::sample, terminal::Detail};

    fn rendered(width: usize, color: bool) -> String {
        sample::explained(|known| render(known, &Style { color, width, detail: Detail::Normal, full: false }))
    }

    #[test]
    fn a_table_is_explained_at_sixty_and_hundred_columns() {
        insta::assert_snapshot!([60, 100].map(|width| rendered(width, false)).join("\n-----\n"));
    }

    #[test]
    fn hostile_text_stays_in_its_line() {
        for width in 24..130 {
            let text = rendered(width, false);
            assert!(text.lines().all(|line| line.width() <= width), "{width}:\n{text}");
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        }
    }

    #[test]
    fn colour_only_repeats_the_text() {
        let coloured = rendered(80, true);
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), rendered(80, false));
        assert!(coloured.contains('\u{1b}'));
    }

    #[test]
    fn what_the_server_did_not_tell_is_said() {
        let text = sample::explained_without_answers(|known| {
            render(known, &Style { color: false, width: 80, detail: Detail::Normal, full: false })
        });
        assert!(text.contains("cannot tell: permission denied"), "{text}");
    }
}
