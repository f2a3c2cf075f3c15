//! What users, items, interactions and unknown ids take in memory: bytes that the engine holds after
//! learning many of them, counted at the allocator, divided by how many there are.
//!
//! Counted is what was asked of the allocator: its own overhead and what it keeps free come on
//! top, and so do copies of pages while readers hold a view. All that is learnt of a thing is
//! counted with it (of a like: history, popularity, co-occurrence).

use std::alloc::System;
use std::ops::Range;

use engine::Engine;
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
use stats_alloc::INSTRUMENTED_SYSTEM;
use stats_alloc::StatsAlloc;

const START_SECONDS: i64 = 1_700_000_000;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that are allocated and not freed.
fn held_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
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
            title: format!("Title {} of {}", number % 997, number % 89),
            topics: vec![format!("topic-{}", number % 50).into()],
            source: Some("source".into()),
            ..Item::new(ItemId::parse(format!("item-{number}")).expect("an id"))
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

    fn items(count: u64) -> Self {
        let mut world = Self::new();
        (0..count).for_each(|item| world.item(item));
        world
    }

    /// The likes of these numbers of each user, all of other items of the first 5,000.
    fn likes(&mut self, users: u64, nths: Range<u64>) {
        for nth in nths {
            for user in 0..users {
                self.like(user, &format!("item-{}", (user * 977 + nth * 13) % 5_000));
            }
        }
    }

    /// What each of `count` things takes that `learn` brings.
    fn tell(mut self, name: &str, count: u64, learn: impl FnOnce(&mut Self)) {
        let before = held_bytes();
        learn(&mut self);
        let bytes = (held_bytes() - before) as u64 / count;
        println!("{name}: {bytes} bytes");
    }
}

fn main() {
    World::items(5_000).tell("user with 1 like", 200_000, |world| world.likes(200_000, 0..1));
    World::items(5_000).tell("user with 100 likes", 2_000, |world| world.likes(2_000, 0..100));
    let mut world = World::items(5_000);
    world.likes(2_000, 0..1);
    world.tell("interaction of a known user", 2_000 * 99, |world| world.likes(2_000, 1..100));
    World::new().tell("catalogue item", 100_000, |world| (0..100_000).for_each(|n| world.item(n)));
    for count in [50_000, 400_000] {
        World::new().tell(&format!("unknown id of {count}"), count, |world| {
            (0..count).for_each(|item| world.like(item % 100, &format!("unknown-{item}")));
        });
    }
}
