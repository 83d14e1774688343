//! Reads files and walks their JSON into nothing: what `scripts/bench.sh` measures `plan` against.

use std::{error::Error, fs};

use serde::de::IgnoredAny;

fn main() -> Result<(), Box<dyn Error>> {
    for file in std::env::args_os().skip(1) {
        let _: IgnoredAny = serde_json::from_slice(&fs::read(file)?)?;
    }
    Ok(())
}
