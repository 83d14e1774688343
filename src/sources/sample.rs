//! Copies some rows of each table, and the rows that they reference.

use super::Error;
use crate::pg::{Client, SourceObjects, SourceRelation};

/// Copies the first rows of each table, then missing parents until all rows have theirs, so that the foreign keys can
/// be created afterwards. Returns the number of rows.
pub(super) async fn copy(
    source: &Client,
    target: &Client,
    objects: &SourceObjects,
    limit: u32,
) -> Result<usize, Error> {
    source.begin_snapshot().await.map_err(Error::Origin)?;
    let mut count = 0;
    let tables: Vec<&SourceRelation> = objects.relations.iter().filter(|there| there.holds_rows()).collect();
    for table in &tables {
        let rows = source.first_rows(table, limit).await.map_err(Error::Origin)?;
        target.insert(table, &rows).await.map_err(Error::Target)?;
        count += rows.len();
    }
    loop {
        let copied = copy_parents(source, target, objects).await?;
        count += copied;
        // Without new parents, the loop ends: a constraint that is not validated may reference missing rows.
        if copied == 0 {
            break;
        }
    }
    target.set_sequences(&tables).await.map_err(Error::Target)?;
    Ok(count)
}

async fn copy_parents(source: &Client, target: &Client, objects: &SourceObjects) -> Result<usize, Error> {
    let mut count = 0;
    for key in &objects.keys {
        let parent = objects.relations.iter().find(|there| there.relation == key.parent);
        let Some(parent): Option<&SourceRelation> = parent else { continue };
        let keys = target.orphans(key).await.map_err(Error::Target)?;
        if keys == "[]" {
            continue;
        }
        let rows = source.parents(key, &keys).await.map_err(Error::Origin)?;
        target.insert(parent, &rows).await.map_err(Error::Target)?;
        count += rows.len();
    }
    Ok(count)
}
