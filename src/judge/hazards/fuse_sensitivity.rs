//! The sensitivity of the fuse is stored and not looked at.

use super::Rule;
use crate::{
    judge::Facts,
    model::{Deployed, Setting, Verdict},
};

pub(super) const RULE: Rule = Rule {
    name: "fuse-sensitivity",
    heading: "Status",
    versions: (0, 67)..=(0, 67),
    verdict: Verdict::Warned,
    looks,
    way_out: "set fuse_ceiling to what a normal load never reaches",
};

fn looks(deployed: &Deployed, _: &Facts) -> Option<String> {
    let sensitivity = deployed.table.settings.get(Setting::FuseSensitivity)?;
    Some(format!("fuse_sensitivity {sensitivity} is ignored, the ceiling alone counts"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{judge::sample, model::Value};

    #[test]
    fn a_sensitivity_that_is_set_is_told() {
        let mut there = sample::deployed(sample::table("t", &[]));
        assert_eq!(looks(&there, &Facts::default()), None);
        there.table.settings.set(Setting::FuseSensitivity, Value::Int(3));
        assert!(looks(&there, &Facts::default()).unwrap().contains('3'));
    }
}
