//! The conformance suite: what a client of pg_trickle sees, told in SQL that does not know which engine answers.
//!
//! `scenarios/*.sql` hold the scenarios; `scenario.rs` reads them, `engine.rs` knows the server, `play.rs` plays them,
//! each in a database of its own. Arguments are parts of scenarios' names; none means all. `--record` writes the answers
//! of the real extension into the files, `--marks` the marks into docs/emulator.md.

#![expect(unreachable_pub, reason = "a test binary has no public interface")]
#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]
#![expect(clippy::print_stdout, reason = "its report")]
#![expect(
    clippy::disallowed_methods,
    reason = "the tests read the environment that config.rs reads for the binary"
)]

mod engine;
mod marks;
mod play;
mod scenario;

use std::{process::ExitCode, sync::Arc, time::Instant};

use engine::{Kind, Server};
use scenario::{Area, Scenario};
use tokio::{sync::Semaphore, task::JoinSet};

/// How many scenarios are played at once. Most of them wait for the scheduler most of the time.
const AT_ONCE: usize = 12;

fn main() -> ExitCode {
    let (flags, wanted): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    let is_flag = |wanted: &str| flags.iter().any(|flag| flag == wanted);
    let areas = Area::read_all();
    if is_flag("--marks") {
        marks::write(&areas);
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let played = runtime.block_on(play_all(&areas, &wanted));
    let passed =
        if is_flag("--record") { played.record(&areas) } else { played.judge() && marks::are_listed(&areas) };
    ExitCode::from(u8::from(!passed))
}

/// What was played on which server.
struct Played {
    server: Arc<Server>,
    scenarios: Vec<(Arc<Scenario>, Vec<play::Answer>)>,
    /// Those that are not true of the version of its engine, each with the reason.
    skipped: Vec<(Arc<Scenario>, String)>,
}

async fn play_all(areas: &[Area], wanted: &[String]) -> Played {
    let begin = Instant::now();
    let server = Arc::new(Server::start().await);
    let turnstile = Arc::new(Semaphore::new(AT_ONCE));
    let mut playing = JoinSet::new();
    let mut skipped = Vec::new();
    for (place, scenario) in areas.iter().flat_map(|area| &area.scenarios).enumerate() {
        if !wanted.is_empty() && !wanted.iter().any(|part| scenario.name().contains(part.as_str())) {
            continue;
        }
        if let Some(reason) = scenario.out_of_range(server.engine().version) {
            skipped.push((scenario.clone(), reason));
            continue;
        }
        let (server, turnstile, scenario) = (server.clone(), turnstile.clone(), scenario.clone());
        playing.spawn(async move {
            let _turn = turnstile.acquire().await.unwrap();
            let answers = play::play(&server, place, &scenario).await;
            (place, scenario, answers)
        });
    }
    let mut played = playing.join_all().await;
    played.sort_by_key(|(place, ..)| *place);
    println!("{} scenarios on {} in {} s", played.len(), server.engine(), begin.elapsed().as_secs());
    let scenarios = played.into_iter().map(|(_, scenario, answers)| (scenario, answers)).collect();
    Played { server, scenarios, skipped }
}

impl Played {
    /// Says of each scenario whether it agrees; false when one does not that should, or one does that should not.
    fn judge(&self) -> bool {
        let mut wrong = 0;
        for (scenario, reason) in &self.skipped {
            println!("skipped  {}\n         true {reason}", scenario.name());
        }
        for (scenario, answers) in &self.scenarios {
            let differences: Vec<_> = answers.iter().filter(|answer| !answer.agrees()).collect();
            let name = scenario.name();
            match (scenario.mark(self.server.engine()), differences.is_empty()) {
                (None, true) => println!("agrees   {name}"),
                (Some(reason), false) => println!("differs  {name}\n         as marked: {reason}"),
                (Some(reason), true) => {
                    println!("AGREES   {name}\n         although it is marked: {reason}");
                    wrong += 1;
                }
                (None, false) => {
                    println!("DIFFERS  {name}");
                    for answer in differences {
                        print!("{}", answer.explain(&scenario.file));
                    }
                    wrong += 1;
                }
            }
        }
        let (played, skipped) = (self.scenarios.len(), self.skipped.len());
        println!("{played} scenarios, {wrong} not as they should be; {skipped} of other versions skipped");
        wrong == 0
    }

    /// Writes what the real extension answered into the files of the scenarios.
    fn record(&self, areas: &[Area]) -> bool {
        if self.server.engine().kind == Kind::Emulator {
            println!("error: expected results come from the real extension, and this is the emulator");
            return false;
        }
        for area in areas {
            let answers = self.scenarios.iter().filter(|(scenario, _)| scenario.file == area.file);
            area.record(answers.flat_map(|(_, answers)| answers));
        }
        true
    }
}
