//! The stages that commands consist of. Each takes values and returns values; only a command holds the report.

pub mod apply;
pub mod check;
pub mod compile;
pub mod deploy;
pub mod doctor;
pub mod gate;
pub mod one_table;
pub mod plan;
pub mod project;
pub mod rehearse;
pub mod selection;
pub mod shard;
pub mod sources;
pub mod target;
pub mod verify;
pub mod wait;
pub mod workspace;
