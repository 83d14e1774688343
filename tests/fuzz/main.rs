//! Fuzzing on stable Rust: whatever comes from a file or from GitHub is read without a panic, a hang or a stack overflow.
//!
//! `cargo test --test fuzz -- [TARGET …] [SECONDS]` changes what lies in the repository, at random and by its structure,
//! for so many seconds a target; a second each when nothing is said. `PGTRICKLE_CI_FUZZ_SEED` begins elsewhere. An input
//! that fails is left in `target/fuzz-inputs/TARGET`; `cargo test --test fuzz -- TARGET FILE …` reads it again.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its report")]
#![expect(clippy::exit, reason = "an input that never ends keeps the main thread")]
#![expect(clippy::use_debug, reason = "durations have no other form")]
#![expect(clippy::disallowed_methods, reason = "a target is a process of its own, which gets its orders so")]

mod corpus;
mod mutate;
mod targets;

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    panic,
    path::{Path, PathBuf},
    process::{self, Command, ExitCode},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use mutate::Random;
use targets::{TARGETS, Target};

/// Longer inputs than this are cut.
const LONGEST: usize = 200_000;
/// What an input may take of a processor: a debug build reads a manifest of this length in a tenth of it.
/// An unoptimised build takes ten times as long.
const SLOW: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 2 });
/// After this an input counts as one that never ends.
const HANGS: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (files, words): (Vec<String>, Vec<String>) =
        words.into_iter().partition(|word| Path::new(word).is_file());
    let (seconds, names): (Vec<_>, Vec<_>) = words.iter().partition(|word| word.parse::<u64>().is_ok());
    let seconds = seconds.first().and_then(|word| word.parse().ok()).unwrap_or(1);
    let seed = std::env::var("PGTRICKLE_CI_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let wanted: Vec<&Target> = TARGETS
        .iter()
        .filter(|target| names.is_empty() || names.iter().any(|name| *name == target.name))
        .collect();
    // A target is a process of its own: a stack overflow ends it, and the others go on.
    if let ([target], Ok(_)) = (&wanted[..], std::env::var(CHILD)) {
        fuzz(target, Duration::from_secs(seconds), seed, &files);
        return ExitCode::SUCCESS;
    }
    let mut failed = wanted.is_empty();
    for target in wanted {
        let program = std::env::current_exe().expect("the program has a path");
        let mut child = Command::new(program);
        child.args([target.name, &seconds.to_string()]).args(&files).env(CHILD, "1");
        let status = child.status().expect("a child starts");
        if !status.success() {
            eprintln!("{}: {status}; the input is {}", target.name, file_of(target, "input").display());
            failed = true;
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

const CHILD: &str = "PGTRICKLE_CI_FUZZ_CHILD";

fn file_of(target: &Target, name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/fuzz-inputs").join(target.name);
    fs::create_dir_all(&dir).expect("the folder can be made");
    dir.join(name)
}

/// What the main thread had taken when it began with the input, in nanoseconds; 0 between two inputs.
static BEGAN: AtomicU64 = AtomicU64::new(0);

/// How long the main thread has been on a processor, in nanoseconds: the machine may have other work.
fn taken() -> u64 {
    let spent = fs::read_to_string("/proc/self/schedstat").ok();
    spent.and_then(|spent| spent.split(' ').next()?.parse().ok()).unwrap_or(0).max(1)
}

/// Reads the files; where there are none, the corpus and then changes of it.
fn fuzz(target: &Target, budget: Duration, seed: u64, files: &[String]) {
    let mut random = Random::new(seed);
    let read = |file: &String| fs::read_to_string(file).expect("the input is a text");
    let corpus = if files.is_empty() { (target.corpus)() } else { files.iter().map(read).collect() };
    let budget = if files.is_empty() { budget } else { Duration::ZERO };
    assert!(!corpus.is_empty(), "{} has no corpus", target.name);
    let scratch = tempfile::tempdir().expect("a folder can be made");
    // An input may lead to the folders above, which must not be everybody's.
    let folder = scratch.path().join("a/b/c/d");
    fs::create_dir_all(&folder).expect("a folder can be made");
    // Written before it is read: what aborts leaves its input.
    let mut input_file = fs::File::create(file_of(target, "input")).expect("the input can be written");
    let started = Instant::now();
    watch();
    let (mut count, mut slowest) = (0_u64, Duration::ZERO);
    while count < corpus.len() as u64 || started.elapsed() < budget {
        let at = usize::try_from(count).unwrap_or(usize::MAX);
        let mut input = match corpus.get(at) {
            Some(whole) => whole.clone(),
            None => (target.mutate)(&mut random, &corpus),
        };
        mutate::cut(&mut input, LONGEST);
        input_file
            .set_len(0)
            .and_then(|()| input_file.seek(SeekFrom::Start(0)))
            .expect("the input can be written");
        input_file.write_all(input.as_bytes()).expect("the input can be written");
        let began = taken();
        BEGAN.store(began, Ordering::SeqCst);
        let read = panic::catch_unwind(|| (target.read)(&input, &folder));
        let took = Duration::from_nanos(taken() - began);
        BEGAN.store(0, Ordering::SeqCst);
        slowest = slowest.max(took);
        if read.is_err() || took > SLOW {
            eprintln!("{}: after {count} inputs, seed {seed}: {took:.1?}", target.name);
            process::exit(1);
        }
        count += 1;
    }
    println!("{}: {count} inputs in {:.0?}, the slowest {slowest:.1?}", target.name, started.elapsed());
}

/// Ends the process when an input takes too long.
fn watch() {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let began = BEGAN.load(Ordering::SeqCst);
            if began > 0 && Duration::from_nanos(taken().saturating_sub(began)) > HANGS {
                eprintln!("an input takes more than {HANGS:.0?}");
                process::exit(1);
            }
        }
    });
}
