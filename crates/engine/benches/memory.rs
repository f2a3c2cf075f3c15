//! What users, items, interactions and unknown ids take in memory: resident bytes of a process of its
//! own for each, divided by how many there are.

use std::process::Command;

use engine::Engine;
use engine::domain::Attributes;
use engine::domain::EventId;
use engine::domain::Interaction;
use engine::domain::InteractionContext;
use engine::domain::InteractionType;
use engine::domain::Item;
use engine::domain::ItemId;
use engine::domain::LogRecord;
use engine::domain::Record;
use engine::domain::Settings;
use engine::domain::Timestamp;
use engine::domain::UserId;

const START_SECONDS: i64 = 1_700_000_000;

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells of memory there");
    let pages: u64 =
        statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4_096
}

struct World {
    engine: Engine,
    events: u64,
}

impl World {
    fn new() -> Self {
        Self { engine: Engine::new(Settings::default()), events: 0 }
    }

    fn learn(&mut self, record: Record) {
        let sequence = self.engine.state().watermark() + 1;
        let recorded_at = Timestamp::from_seconds(START_SECONDS + sequence as i64);
        let record = LogRecord { sequence, recorded_at, record };
        self.engine.apply(&[record]).expect("records are in order");
    }

    fn item(&mut self, number: u64) {
        self.learn(Record::ItemUpserted(Item {
            item_id: ItemId::parse(format!("item-{number}")).expect("an id"),
            title: format!("Title {} of {}", number % 997, number % 89),
            content: String::new(),
            topics: vec![format!("topic-{}", number % 50).into()],
            source: Some("source".into()),
            published_at: None,
            embedding: Vec::new(),
            language: None,
            attributes: Attributes::default(),
        }));
    }

    fn like(&mut self, user: u64, item: &str) {
        self.events += 1;
        self.learn(Record::Interaction(Interaction {
            event_id: EventId::parse(self.events.to_string()).expect("an id"),
            user_id: UserId::parse(format!("user-{user}")).expect("an id"),
            item_id: ItemId::parse(item).expect("an id"),
            kind: InteractionType::Like,
            value: None,
            occurred_at: Timestamp::from_seconds(START_SECONDS + self.events as i64 * 60),
            session_id: None,
            decision_id: None,
            position: None,
            context: InteractionContext::default(),
        }));
    }
}

/// Runs a case; how many things there are, and what they took.
fn run(case: &str) -> (u64, u64) {
    let mut world = World::new();
    match case {
        "user with one like" => {
            (0..1_000).for_each(|item| world.item(item));
            let before = resident_bytes();
            (0..200_000).for_each(|user| world.like(user, &format!("item-{}", user * 31 % 1_000)));
            (200_000, resident_bytes() - before)
        }
        "interaction" => {
            (0..5_000).for_each(|item| world.item(item));
            let before = resident_bytes();
            for nth in 0..200 {
                for user in 0..2_000 {
                    world.like(user, &format!("item-{}", (user * 977 + nth * 13) % 5_000));
                }
            }
            (400_000, resident_bytes() - before)
        }
        "catalogue item" => {
            let before = resident_bytes();
            (0..100_000).for_each(|item| world.item(item));
            (100_000, resident_bytes() - before)
        }
        "unknown id of 400,000" => {
            let before = resident_bytes();
            (0..400_000).for_each(|item| world.like(item % 100, &format!("unknown-{item}")));
            (400_000, resident_bytes() - before)
        }
        other => panic!("there is no case {other}"),
    }
}

fn main() {
    let case = std::env::args().skip_while(|argument| argument != "--case").nth(1);
    if let Some(case) = case {
        let (count, bytes) = run(&case);
        println!("{case}: {} bytes", bytes / count);
        return;
    }
    let program = std::env::current_exe().expect("this program has a path");
    for case in ["user with one like", "interaction", "catalogue item", "unknown id of 400,000"] {
        let status = Command::new(&program).args(["--case", case]).status().expect("it starts");
        assert!(status.success(), "{case}");
    }
}
