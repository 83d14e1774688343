//! Finds one stream table on a server by the name that a user typed.

use super::{check::gather, project};
use crate::{
    Error,
    judge::{self, Evidence, named::named},
    model::{Deployed, Outcome, Relation},
    options::TableOptions,
    pg::{Client, ServerInfo},
    project::Project,
};

/// A connected server, and the project of the manifest, or of the one that is kept from the last compilation.
pub struct Connected {
    pub client: Client,
    pub server: ServerInfo,
    pub project: Option<Project>,
}

impl Connected {
    pub async fn to(options: &TableOptions) -> Result<Self, Error> {
        let project = if options.models.manifest.is_some() {
            let loaded = project::load(&options.models, Some(&options.server)).await?;
            Some(loaded.selected(&options.models)?.project)
        } else {
            project::kept(&options.models, &options.server).await
        };
        let endpoint = options.server.endpoint(&options.models.project)?;
        let client = Client::connect(&endpoint, options.server.limits).await?;
        let server = client.server().await?;
        Ok(Self { client, server, project })
    }

    /// The table that the options name.
    pub fn named<'a>(&self, options: &TableOptions, deployed: &'a [Deployed]) -> Result<&'a Deployed, Error> {
        let tables = self.project.iter().flat_map(|project| &project.tables);
        let models: Vec<(&str, &Relation)> = tables
            .filter_map(|table| Some((table.origin.as_ref()?.unique_id.as_str(), &table.relation)))
            .collect();
        let database = &self.client.endpoint().database;
        Ok(named(deployed, &models, database, &options.name)?)
    }

    /// What the server reports about its stream tables.
    pub async fn evidence(&self) -> Result<Evidence, Error> {
        Ok(gather(&self.client, &self.server).await?)
    }

    /// The outcomes of the checks of one table and of what it depends on.
    pub fn judge(&self, options: &TableOptions, deployed: &Deployed, evidence: &Evidence) -> Vec<Outcome> {
        let tables = self.project.iter().flat_map(|project| &project.tables);
        let model = tables.into_iter().find(|table| table.relation == deployed.table.relation);
        let mut criteria = options.terms.clone();
        criteria.ages = self.project.as_ref().map(|project| project.ages.clone()).unwrap_or_default();
        judge::judge(&[model.unwrap_or(&deployed.table)], evidence, &criteria)
    }
}
