use std::fs;

use super::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Recorded with python-dotenv 1.2.4 (`load_dotenv`, as dbt 1.12 calls it), under the shell variables `S=shell` and
/// `E=`.
#[test]
fn a_file_is_read_as_by_python_dotenv() {
    let shell = map(&[("S", "shell"), ("E", "")]);
    for (text, want) in [
        ("A=1\nB = 2 \n\texport C=3", map(&[("A", "1"), ("B", "2"), ("C", "3")])),
        (
            "A=a b # c\nB=a#b\nC= # c\nD=#d\nF='x # y' # z",
            map(&[("A", "a b"), ("B", "a#b"), ("C", ""), ("D", "#d"), ("F", "x # y")]),
        ),
        ("A\nB=\n# C=1\n=2\nD=4", map(&[("B", ""), ("D", "4")])),
        (
            "A=\"x\ny\"\nB='it\\'s \\n'\nC=\"\\t\\q\\\"\"",
            map(&[("A", "x\ny"), ("B", "it's \\n"), ("C", "\t\\q\"")]),
        ),
        ("A=\"open\nB=2\nC='3' no\nD=4", map(&[("B", "2"), ("D", "4")])),
        (
            "A=1\nB=${A}2\nC='${A}'\nD=$A\nF=${NO:-d}\nG=${S:-d}${E:-d}\nH=${A:x}",
            map(&[
                ("A", "1"),
                ("B", "12"),
                ("C", "1"),
                ("D", "$A"),
                ("F", "d"),
                ("G", "shell"),
                ("H", "${A:x}"),
            ]),
        ),
        ("S=file\nA=${S}\nE=file", map(&[("S", "file"), ("A", "shell"), ("E", "file")])),
        ("A=1\nA\nB=1\nB=2", map(&[("B", "2")])),
        ("\u{feff}A=1\r\nB=2\rC=3\r\n", map(&[("A", "1"), ("B", "2"), ("C", "3")])),
        ("'my key'=1\nA=${my key}", map(&[("my key", "1"), ("A", "1")])),
        ("exportA=1\nexport=2\nexport  B=3", map(&[("exportA", "1"), ("export", "2"), ("B", "3")])),
    ] {
        assert_eq!(by_python(text, &shell), want, "{text}");
    }
}

/// A dbt of this version, as pip lays it out.
fn installed(root: &Path, version: &str) -> PathBuf {
    let bin = root.join(version).join("bin");
    fs::create_dir_all(&bin).unwrap();
    let packages = root.join(version).join("lib/python3.12/site-packages");
    fs::create_dir_all(packages.join(format!("dbt_core-{version}.dist-info"))).unwrap();
    fs::create_dir_all(packages.join("dbt_core-9")).unwrap();
    fs::write(bin.join("dbt"), "").unwrap();
    bin.join("dbt")
}

#[test]
fn each_version_of_dbt_reads_its_own_file() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("a/b");
    fs::create_dir_all(&inner).unwrap();
    let dbt = |version: &str| installed(dir.path(), version);
    let read =
        |program: &Path, shell: &[(&str, &str)]| variables(Some(program), &inner, &map(shell)).unwrap();
    assert_eq!(read(&dbt("1.12.0"), &[]), map(&[]), "there is none");
    // A folder of this name does not count.
    fs::create_dir(inner.join(".env")).unwrap();
    fs::write(dir.path().join(".env"), "A=above\nB=${X}\n").unwrap();
    assert_eq!(read(&dbt("1.12.0"), &[]), map(&[("A", "above"), ("B", "")]));
    assert_eq!(read(&dbt("2.0.0a4"), &[]), map(&[]), "dbt 2 looks here only");
    fs::remove_dir(inner.join(".env")).unwrap();
    fs::write(inner.join(".env"), "A=1\nC='$A'\nC=2\nD=a b\nF=3\n").unwrap();
    let whole = map(&[("A", "1"), ("C", "2"), ("D", "a b"), ("F", "3")]);
    assert_eq!(read(&dbt("1.13.1"), &[]), whole);
    assert_eq!(variables(None, &inner, &map(&[])).unwrap(), whole);
    assert_eq!(read(&dbt("2.0.0a4"), &[]), map(&[("A", "1"), ("C", "$A")]), "up to what it cannot read");
    for version in ["1.6.19", "1.11.16"] {
        assert_eq!(read(&dbt(version), &[]), map(&[]), "{version}");
    }
    // The shell takes precedence, even with an empty value.
    assert_eq!(read(&dbt("1.12.0"), &[("A", ""), ("D", "x")]), map(&[("C", "2"), ("F", "3")]));
    assert_eq!(read(&dbt("1.12.0"), &[(DISABLED, "True")]), map(&[]));
    assert_eq!(read(&dbt("2.0.0a4"), &[(DISABLED, "1"), ("A", "")]), map(&[("C", "$A")]));
    // Variables that the system rejects are left out.
    fs::write(inner.join(".env"), "'a=b'=1\nA=\0\nB=2\n").unwrap();
    assert_eq!(read(&dbt("1.12.0"), &[]), map(&[("B", "2")]));
    fs::write(inner.join(".env"), [b'A', b'=', 0xff]).unwrap();
    let error = variables(Some(&dbt("1.12.0")), &inner, &map(&[])).unwrap_err().to_string();
    assert!(error.starts_with("cannot read `") && error.contains(".env`"), "{error}");
}

#[test]
fn a_dbt_without_packages_is_asked_for_its_version() {
    for (said, want) in [
        ("Core:\n  - installed: 1.12.0\n  - latest:    1.12.6", Some((1, 12))),
        ("dbt-core 2.0.0-alpha.4", Some((2, 0))),
        ("dbt-fusion 2.0.1", Some((2, 0))),
        ("command not found", None),
    ] {
        assert_eq!(said.split_whitespace().find_map(numbers), want, "{said}");
    }
}
