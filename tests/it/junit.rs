//! JUnit reports are valid by Jenkins' schema, which is in the tests of the crate `junit-report`.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use pgtrickle_ci::{
    model::{Origin, Outcome, Stage, Verdict},
    report::{Report, junit},
};
use time::macros::datetime;

use crate::support::{Ran, venv};

/// Validates files and prints the error of each invalid one. The schema lacks two newer attributes that consumers read:
/// the line of a case, and the reason for skipping one.
const VALIDATE: &str = r"
import sys, xmlschema
from xml.etree import ElementTree
schema = xmlschema.XMLSchema(sys.argv[1])
for name in sys.argv[2:]:
    document = ElementTree.parse(name)
    for case in document.iter('testcase'):
        case.attrib.pop('line', None)
    for skipped in document.iter('skipped'):
        skipped.attrib.clear()
    try:
        schema.validate(document)
        print('valid')
    except xmlschema.XMLSchemaValidationError as error:
        print('invalid', str(error).replace('\n', ' ')[:300])
";

fn schema() -> PathBuf {
    // Only this platform's crates: the build downloaded no others.
    let arguments =
        ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", "host-tuple"];
    let mut cargo = Command::new(env!("CARGO"));
    let said = Ran::of(cargo.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"))).expect(0).stdout;
    let metadata: serde_json::Value = serde_json::from_str(&said).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let writer = packages.iter().find(|package| package["name"] == "junit-report").unwrap();
    PathBuf::from(writer["manifest_path"].as_str().unwrap()).with_file_name("tests/JUnit.xsd")
}

/// Every verdict, with and without a model, with texts that XML must escape.
fn hostile_report() -> Report {
    let mut report = Report::begin("run", datetime!(2026-11-21 01:02:03.456 UTC));
    report.elapsed = Duration::from_millis(1_234_567);
    let evil = "]]> \u{1b}[31m <b a=\"1\"> & \u{0}\u{ffff} ü ' line=\"7\"";
    let origin = Origin { unique_id: "model.shop.orders".into(), file: "models/o\"r&d<e>rs.sql".into() };
    for stage in [Stage::Deploy, Stage::Test, Stage::Verify] {
        for verdict in [Verdict::Passed, Verdict::Skipped, Verdict::Warned, Verdict::Failed, Verdict::Errored]
        {
            for about in [None, Some(&origin)] {
                let mut outcome =
                    Outcome::new(stage, evil, verdict, evil).with_details([evil.to_owned()]).about(about);
                outcome.elapsed = about.map(|_| Duration::from_micros(1_500));
                report.outcomes.push(outcome);
            }
        }
    }
    report
}

#[test]
fn reports_are_valid_by_jenkins_schema() {
    let dir = tempfile::tempdir().unwrap();
    let hostile = hostile_report();
    let documents = [
        junit::render(&hostile),
        junit::render(&Report { strict: true, interrupted: true, ..hostile.clone() }),
        junit::render(&Report::begin("plan", datetime!(2026-11-21 01:02:03 UTC))),
        // The validator detects invalid documents.
        junit::render(&hostile).replacen("<testcase name=", "<testcase title=", 1),
    ];
    let files: Vec<_> = (0..documents.len()).map(|number| dir.path().join(format!("{number}.xml"))).collect();
    for (file, document) in files.iter().zip(&documents) {
        fs::write(file, document).unwrap();
    }
    let python = venv().join("bin/python");
    let python = if python.is_file() { python } else { "python3".into() };
    let said =
        Ran::of(Command::new(python).args(["-c", VALIDATE]).arg(schema()).args(&files)).expect(0).stdout;
    let said: Vec<_> = said.lines().collect();
    assert_eq!(said[..3], ["valid"; 3]);
    assert!(said[3].starts_with("invalid") && said[3].contains("title"), "{}", said[3]);
}
