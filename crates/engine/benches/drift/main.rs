//! What lists earn of people whose taste changes, by visits since: the audience of `evaluation::simulation` with an engine
//! in this process.
//!
//! Stands for: `simulate --drift 0.3` on a server with its defaults, at a fraction of its time. Leaves out: gRPC, the log,
//! the schedule of trainings, the search of hyperparameters.
//!
//!     cargo bench -p personalization-engine --bench drift -- shop 1 2 3       a world and seeds
//!     cargo bench -p personalization-engine --bench drift -- news 1 --strong     tastes decide twice as much
//!     cargo bench -p personalization-engine --bench drift -- shop 1 --no-drift

mod report;
mod site;

use engine::evaluation::simulation::{Audience, Drift, Kind, Oracle, Policy, Settings, World};

use report::Report;
use site::Site;

/// Visits that get their lists before any of them is learnt from.
const TOGETHER: usize = 16;
const TRAIN_EVERY: u32 = 5;
const ROUNDS: u32 = 30;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seeds: Vec<u64> = arguments.iter().filter_map(|text| text.parse().ok()).collect();
    let has = |flag: &str| arguments.iter().any(|text| text == flag);
    for (name, kind, items) in [("shop", Kind::Shop, 1_000), ("news", Kind::News, 600)] {
        if !has(name) {
            continue;
        }
        let mut report = Report::default();
        for &seed in &seeds {
            let drift = (!has("--no-drift")).then_some(Drift { share: 0.3, round: ROUNDS / 2 });
            let taste = if has("--strong") { 2.0 } else { 1.0 };
            let (people, rounds, positions) = (600, ROUNDS, 10);
            let settings = Settings { kind, people, items, rounds, positions, drift, taste, seed };
            drive(&World::new(settings), &mut report);
        }
        println!("{name}, seeds {seeds:?}\n{report}");
    }
}

fn drive(world: &World, report: &mut Report) {
    let mut site = Site::new(world);
    let [mut audience, mut of_oracle] = [(), ()].map(|()| Audience::new(world));
    for round in 0..ROUNDS {
        site.publish(round);
        for visits in world.visits(round).chunks(TOGETHER) {
            let lists: Vec<_> = visits.iter().map(|visit| site.list(visit)).collect();
            lists.iter().for_each(|list| site.decide(list));
            for (visit, list) in visits.iter().zip(&lists) {
                let responses = audience.show(visit, &list.items);
                let best = Oracle.list(world, &of_oracle, visit);
                report.add(visit, [&responses, &of_oracle.show(visit, &best)]);
                site.learn(visit, list, &responses);
            }
        }
        if (round + 1) % TRAIN_EVERY == 0 && round + 1 < ROUNDS {
            site.train();
        }
    }
    report.add_turns(world, |person| site.turned_at(person));
}
