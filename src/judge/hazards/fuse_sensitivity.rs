//! The sensitivity of the fuse is stored and ignored.

use super::{Rule, TableRule};
use crate::{
    judge::Facts,
    model::{Deployed, Setting, Verdict},
};

pub(super) const RULE: TableRule = Rule {
    name: "fuse-sensitivity",
    heading: "Status",
    fixed: None,
    verdict: Verdict::Warned,
    finds,
    way_out: "set fuse_ceiling above what a normal load reaches",
};

fn finds(deployed: &Deployed, _: &Facts) -> Option<String> {
    let sensitivity = deployed.table.settings.get(Setting::FuseSensitivity)?;
    Some(format!("fuse_sensitivity {sensitivity} is ignored, only fuse_ceiling counts"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{judge::sample, model::Value};

    #[test]
    fn a_sensitivity_is_reported() {
        let mut there = sample::deployed(sample::table("t", &[]));
        assert_eq!(finds(&there, &Facts::default()), None);
        there.table.settings.set(Setting::FuseSensitivity, Value::Int(3));
        assert!(finds(&there, &Facts::default()).unwrap().contains('3'));
    }
}
