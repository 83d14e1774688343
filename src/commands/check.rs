//! `check`: whether stream tables exist, are populated, fresh, and capture changes. It never writes.

use std::time::Instant;

use time::OffsetDateTime;

use super::{connect::connect_and_identify, reported::describe_selected};
use crate::{
    Error,
    exit::Exit,
    judge,
    model::StreamTable,
    options::CheckOptions,
    output::{self, Activity, Ui},
    report::{
        Report,
        compare::{self, Comparison},
        freshness,
    },
    stages::{
        check::{Checked, check_database, check_tables},
        project::load_if_any,
        shard::{read_earlier, take_shard},
        target::owner,
        verify::{connections, equality_terms},
    },
    verify::{Extent, compare_with_queries},
};

/// Checks the project's stream tables, or without a project all stream tables of the database.
pub(super) async fn check(options: &CheckOptions, report: &mut Report) -> Result<Exit, Error> {
    let (started_at, started) = (OffsetDateTime::now_utc(), Instant::now());
    let project = load_if_any(&options.models, &options.server).await?;
    if let Some(selected) = &project {
        describe_selected(report, selected);
    }
    let project = project.map(|selected| selected.project);
    let earlier = options
        .compare
        .as_deref()
        .map(|file| read_earlier(options.ui, file, "not compared"))
        .transpose()?
        .flatten();
    let endpoint = options.server.endpoint(&options.models.project)?;
    let (client, server) = connect_and_identify(&endpoint, options.server.limits, report).await?;
    let terms = options.terms.clone();
    let Checked { outcomes: checked, ages, deployed } = match &project {
        Some(project) => {
            let tables: Vec<&StreamTable> = project.tables.iter().collect();
            let owner = owner(&options.models, project)?;
            check_tables(&client, &server, (project, owner), &tables, terms).await?
        }
        None => check_database(&client, &server, &terms).await?,
    };
    report.ages.clone_from(&ages);
    let outcomes = &mut report.outcomes;
    outcomes.extend(checked);
    if let Some(budget) = options.equality {
        let tables = judge::subjects(project.as_ref().map(|project| &project.tables[..]), &deployed);
        let (tables, share) = take_shard(options.ui, tables, options.sharding.as_ref())?;
        report.shard = share;
        let terms = equality_terms(&options.equality_terms, project.as_ref());
        let (jobs, activity) = (connections(&client, options.jobs), Activity::default());
        let extent = Extent { time: Some(budget), jobs, activity: &activity };
        let compared = compare_with_queries(&client, &tables, &terms, extent, outcomes);
        options.ui.show_while(&activity, compared).await?;
    }
    if let (Some(file), Some(earlier)) = (&options.compare, earlier) {
        let file = file.display().to_string();
        print_changes(options.ui, &compare::compare(&file, &earlier, outcomes)?);
    }
    if let Some(file) = &options.freshness {
        output::to_file(file, &freshness::render(started_at, started.elapsed(), &ages, outcomes))?;
        options.ui.say(&format!("wrote {}", file.display()));
    }
    Ok(Exit::Passed)
}

fn print_changes(ui: Ui, comparison: &Comparison) {
    for (what, names) in [("new failures", &comparison.newly_bad), ("recovered", &comparison.recovered)] {
        if !names.is_empty() {
            ui.say(&format!("{what}: {}", names.join(", ")));
        }
    }
}
