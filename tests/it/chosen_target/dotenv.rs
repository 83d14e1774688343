//! dbt 1.12 and 2 read variables from a `.env`, earlier versions do not: the gate uses what the installed dbt uses.
//!
//! The installed versions are that of the tests and those of scripts/dbt_matrix.sh.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{DbtProject, Ran, manifest, pgtrickle_ci, venv};

use super::{ours, profiles};

/// The folders with a dbt, and their versions.
fn installed() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let matrix = fs::read_dir(root.join("target/dbt")).into_iter().flatten().flatten();
    let of_matrix =
        matrix.filter_map(|entry| Some((entry.path().join("bin"), entry.file_name().into_string().ok()?)));
    let mut all: Vec<_> = of_matrix.filter(|(bin, _)| bin.join("dbt").exists()).collect();
    all.push((venv().join("bin"), "1.11".into()));
    all
}

fn with_dbt(command: &mut Command, bin: &Path) {
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", bin.display()));
}

const OF_PROFILE: &str = "dev (from profiles.yml)";
const OF_FILE: &str = "prod (from DBT_TARGET in .env)";
const OF_SHELL: &str = "dev (from DBT_TARGET)";
const OF_FLAG: &str = "dev (from --target or PGTRICKLE_CI_TARGET)";

/// The file in the project, the working directory, the shell, arguments, and the target of dbt 1.11, 1.12 and 2.
const CASES: [[&str; 7]; 10] = [
    [
        "SHOP_TARGET=prod",
        "bare/shop",
        "",
        "",
        OF_PROFILE,
        "prod (from profiles.yml)",
        "prod (from profiles.yml)",
    ],
    ["DBT_TARGET = 'prod' # so", "bare/shop", "", "", OF_PROFILE, OF_FILE, OF_FILE],
    ["DBT_TARGET=prod", "bare/shop", "DBT_TARGET=dev", "", OF_SHELL, OF_SHELL, OF_SHELL],
    ["DBT_TARGET=prod", "bare/shop", "", "--target dev", OF_FLAG, OF_FLAG, OF_FLAG],
    [
        "DBT_TARGET=prod",
        "bare",
        "",
        "--project-dir shop --profiles-dir shop",
        OF_PROFILE,
        OF_PROFILE,
        OF_PROFILE,
    ],
    ["A=b c\nDBT_TARGET=prod", "bare/shop", "", "", OF_PROFILE, OF_FILE, OF_PROFILE],
    ["X=prod\nDBT_TARGET=${X}", "bare/shop", "", "", OF_PROFILE, OF_FILE, OF_FILE],
    ["", "outer/shop", "", "", OF_PROFILE, "prod (from profiles.yml)", OF_PROFILE],
    ["SHOP_PROFILE=other", "bare/shop", "", "", OF_PROFILE, OF_PROFILE, OF_PROFILE],
    ["DBT_PROFILES_DIR=../../named", "bare/shop", "", "", OF_PROFILE, OF_PROFILE, OF_PROFILE],
];

#[test]
fn a_dotenv_applies_as_for_dbt() {
    let dir = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let file = dir.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    for folder in ["home/.dbt", "named", "outer/shop", "bare/shop"] {
        write(&format!("{folder}/profiles.yml"), &profiles(folder.split('/').next().unwrap()));
    }
    for shop in ["outer/shop", "bare/shop"] {
        write(
            &format!("{shop}/dbt_project.yml"),
            "name: shop\nprofile: \"{{ env_var('SHOP_PROFILE', 'shop') }}\"\n",
        );
        write(&format!("{shop}/pgtrickle-ci.yml"), "allow_empty: true\n");
        write(&format!("{shop}/models/.keep"), "");
    }
    write("outer/.env", "SHOP_TARGET=prod\n");
    let empty = manifest(dir.path(), "empty.json", []);
    for case in CASES {
        let [file, from, shell, arguments, old, new, two] = case;
        write("bare/shop/.env", file);
        for (bin, version) in installed() {
            let want = match version.as_str() {
                "1.12" => new,
                "2.0" => two,
                _ => old,
            };
            let place = dir.path().join(from);
            let with = |command: &mut Command| {
                with_dbt(command, &bin);
                command.current_dir(&place).env("HOME", dir.path().join("home")).envs(shell.split_once('='));
            };
            let mut gate = pgtrickle_ci();
            with(
                gate.args(["check", "--json", "-", "--manifest"])
                    .arg(&empty)
                    .args(arguments.split_whitespace()),
            );
            let (database, target) =
                ours(&Ran::of(&mut gate)).split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
            assert_eq!(target, want, "dbt {version}: {file} in {from}");

            let mut dbt = Command::new(bin.join("dbt"));
            dbt.env_clear().env("DBT_USE_COLORS", "false").env("DBT_LOG_PATH", dir.path().join("logs"));
            dbt.env("DBT_SEND_ANONYMOUS_USAGE_STATS", "false").env("DBT_ALLOW_EXPERIMENTAL_ADAPTERS", "true");
            with(dbt.arg("debug").args(arguments.split_whitespace()));
            let said = Ran::of(&mut dbt).stdout.replace('"', "");
            let theirs =
                said.lines().find_map(|line| Some(line.split_once("database: ")?.1.trim_matches([' ', ','])));
            assert_eq!(theirs, Some(&*database), "dbt {version}: {file} in {from}\n{said}");
        }
    }
}

/// Below the project, the gate and dbt find it by the variable.
#[test]
fn a_dotenv_may_name_the_project() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("shop")).unwrap();
    fs::write(dir.path().join("shop/dbt_project.yml"), "name: shop\n").unwrap();
    fs::write(dir.path().join("shop/pgtrickle-ci.yml"), "allow_empty: true\n").unwrap();
    fs::write(dir.path().join("profiles.yml"), profiles("here")).unwrap();
    fs::write(dir.path().join(".env"), "DBT_PROJECT_DIR=shop\nDBT_PROFILE=other\n").unwrap();
    let empty = manifest(dir.path(), "empty.json", []);
    for (bin, version) in installed().into_iter().filter(|(_, version)| ["1.12", "2.0"].contains(&&**version))
    {
        let mut gate = pgtrickle_ci();
        with_dbt(gate.args(["check", "--json", "-", "--manifest"]).arg(&empty).current_dir(dir.path()), &bin);
        assert_eq!(ours(&Ran::of(&mut gate)), "here_other_dev dev (from profiles.yml)", "dbt {version}");
    }
}

/// The file does not set variables that must not reach dbt, but it sets those that the project uses.
#[test]
fn a_dotenv_does_not_change_dbts_server() {
    let project = DbtProject::new();
    project.write("seeds/codes.csv", "id,code\n1,a\n");
    project.stream_table(
        "totals",
        "{'schedule': '1h'}",
        "select id from {{ ref('codes') }}{{ env_var('SHOP_SQL', ' where') }}",
    );
    project.write(
        ".env",
        "PGSERVICE=nowhere\nPGOPTIONS='-c nonsense'\nPGHOSTADDR=192.0.2.1\nDBT_WRITE_JSON=false\nDBT_EMPTY=true\nDBT_RESOURCE_TYPES=seed\nSHOP_SQL=\" where id > 0\"\n",
    );
    for (bin, _) in installed().into_iter().filter(|(_, version)| version == "1.12") {
        let mut gate = pgtrickle_ci();
        with_dbt(
            gate.args(["run", "--engine", "emulator", "--budget", "1s"]).current_dir(project.path()),
            &bin,
        );
        Ran::of(&mut gate).expect(0);
    }
}
