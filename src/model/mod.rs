//! The types that every other module uses. Plain values, no input or output.

pub mod age_limits;
pub mod engine;
pub mod hidden_read;
pub mod history;
pub mod manifest_source;
pub mod order;
pub mod origin;
pub mod outcome;
pub mod owner;
pub mod schedule;
pub mod secret;
pub mod settings;
pub mod shard;
pub mod site;
pub mod stream_table;
pub mod values;
pub mod yaml;

pub use crate::sql::Relation;
pub use age_limits::AgeLimits;
pub use engine::{
    Engine, KEEPS_BUFFERED_CHANGES, NEWEST_TRIED, OPTIONAL, OptionalPart, POLLS_SNAPSHOTS, TRIED, Version,
    with_optional_parts,
};
pub use hidden_read::HiddenRead;
pub use history::{History, Refresh};
pub use manifest_source::{ManifestSource, ProjectSource};
pub use origin::{DbtTest, Origin};
pub use outcome::{Outcome, Stage, Subject, Verdict};
pub use owner::{Mark, Owner, Ownership, TargetName};
pub use schedule::Schedule;
pub use secret::Secret;
pub use settings::{Setting, Settings, Value};
pub use shard::{Shard, ShardNode, ShardShare};
pub use stream_table::{Column, Deployed, Health, Storage, StreamTable, View, tier_factor};
