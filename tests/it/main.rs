//! Tests of the built binary and of the library with a real server: an ephemeral one with the emulator, or the one of
//! `PGTRICKLE_CI_TEST_DSN`.

#![expect(unreachable_pub, reason = "a test binary has no public interface")]
#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "the tests read the environment that config.rs reads for the binary"
)]

mod action;
mod adapter;
mod agreement;
mod bad_input;
mod between;
mod cases;
mod catalogs;
mod checks;
mod chosen_target;
mod comment;
mod connections;
mod dbt_parity;
mod documents;
mod edits;
mod ephemeral;
mod gate;
mod grants;
mod hidden_rows;
mod image;
mod init;
mod interrupted;
mod junit;
mod layers;
mod manifests;
mod merge_request;
mod odd_machines;
mod one_process;
mod one_table;
mod openapi;
mod own_state;
mod package;
mod plan;
mod progress;
mod project;
mod rehearsal;
mod revision;
mod round_trips;
mod saved;
mod schema;
mod selection;
mod sources;
mod support;
mod targets;
mod verify;
mod waiting;
mod workflows;
