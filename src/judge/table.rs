//! All judgements of one table, each resting on the one before.

use super::{Catalog, Evidence, Facts, Terms, freshness, hazards, mode, population, present, status};
use crate::model::{Deployed, Outcome, Relation, Stage, StreamTable, Verdict};

/// The outcomes of one table.
pub(super) struct TableOutcomes {
    present: Outcome,
    /// The table differs from its model. It still runs, so its readers can be correct.
    is_drifted: bool,
    population: Outcome,
    status: Outcome,
    freshness: Outcome,
    /// Refresh mode and hazards, where the server answered.
    more: Vec<Outcome>,
}

impl TableOutcomes {
    /// The outcome because of which tables that read this one cannot be correct.
    pub(super) fn cause(&self) -> Option<&Outcome> {
        let present = (!self.is_drifted).then_some(&self.present);
        let mut stages = present.into_iter().chain([&self.population, &self.status, &self.freshness]);
        stages.find(|outcome| outcome.verdict.is_bad())
    }

    /// Adds a line to the cause.
    pub(super) fn add_to_cause(&mut self, line: String) {
        let present = (!self.is_drifted).then_some(&mut self.present);
        let stages = present.into_iter().chain([&mut self.population, &mut self.status, &mut self.freshness]);
        if let Some(cause) = stages.into_iter().find(|outcome| outcome.verdict.is_bad()) {
            cause.details.push(line);
        }
    }

    /// Turns failures that upstream tables cause into pointers to those. A missing table is a failure of its own.
    pub(super) fn excuse(&mut self, roots: &str) {
        for outcome in [&mut self.population, &mut self.status, &mut self.freshness] {
            if outcome.verdict.is_bad() {
                outcome.verdict = Verdict::Skipped;
                outcome.message = format!("{}, because of {roots}", outcome.message);
                outcome.details.clear();
            }
        }
    }

    pub(super) fn into_outcomes(self) -> impl Iterator<Item = Outcome> {
        [self.present, self.population, self.status, self.freshness].into_iter().chain(self.more)
    }
}

/// Judges one table. The first failure is the reason; what rests on it is skipped.
pub(super) fn judge(
    table: &StreamTable,
    evidence: &Evidence,
    catalog: &Catalog,
    terms: &Terms,
) -> TableOutcomes {
    let present::Present { outcome: present, is_drifted } = present::judge(table, catalog, terms);
    let skipped = |stage, why| skipped(stage, table, why);
    let Some(deployed) = catalog.get(&table.relation).filter(|deployed| deployed.health.storage_exists)
    else {
        let why = "it is not there";
        return TableOutcomes {
            present,
            is_drifted,
            population: skipped(Stage::Population, why),
            status: skipped(Stage::Status, why),
            freshness: skipped(Stage::Freshness, why),
            more: Vec::new(),
        };
    };
    let facts = evidence.facts.as_ref().ok().and_then(|facts| facts_of(&table.relation, facts));
    let population = population::judge(table, catalog);
    let (status, freshness) = if population.verdict.is_bad() {
        let why = "it was never filled";
        (skipped(Stage::Status, why), skipped(Stage::Freshness, why))
    } else {
        let now = evidence.engine.as_ref().ok().map(|engine| engine.now);
        let status = status::judge(table, deployed, facts, now);
        let freshness = if status.verdict.is_bad() {
            skipped(Stage::Freshness, "it is not refreshed")
        } else {
            freshness(table, deployed, evidence, catalog, terms)
        };
        (status, freshness)
    };
    let more = facts.into_iter().flat_map(|facts| {
        [
            mode::judge(table, deployed, facts, terms.fail_on_fallback),
            hazards::judge(table, deployed, facts, &evidence.version, &terms.silences),
        ]
    });
    TableOutcomes { present, is_drifted, population, status, freshness, more: more.collect() }
}

/// The age of a table whose status is good.
fn freshness(
    table: &StreamTable,
    deployed: &Deployed,
    evidence: &Evidence,
    catalog: &Catalog,
    terms: &Terms,
) -> Outcome {
    if status::rests(&deployed.health) {
        return skipped(Stage::Freshness, table, "its model pauses it");
    }
    match &evidence.engine {
        Ok(engine) => freshness::judge(table, deployed, catalog, engine.now, terms.age(&table.relation)),
        Err(unanswered) => Outcome::new(Stage::Freshness, &table.relation, Verdict::Errored, &unanswered.why)
            .about(table.origin.as_ref()),
    }
}

fn facts_of<'a>(relation: &Relation, facts: &'a [Facts]) -> Option<&'a Facts> {
    facts.iter().find(|facts| facts.schema == relation.schema && facts.name == relation.name)
}

fn skipped(stage: Stage, table: &StreamTable, why: &str) -> Outcome {
    Outcome::new(stage, &table.relation, Verdict::Skipped, format!("not looked at: {why}"))
        .about(table.origin.as_ref())
}
