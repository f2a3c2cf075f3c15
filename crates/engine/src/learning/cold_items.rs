//! Items that no training has seen: where their content is, and the factors it predicts.
//!
//! - Embeddings of items are derived of entries, terms and model; they follow every change
//!   of these.
//! - Predicted factors are state: they are written when a model is switched to and when an
//!   item is upserted, to items that no training has seen. Evidence of an item's own is
//!   blended with them by the solve of new items, whose prior mean they are.

use rayon::iter::IntoParallelIterator;
use rayon::iter::ParallelIterator;

use crate::Engine;
use crate::columns::index::ItemIndex;
use crate::models::content::EmbeddingSpace;
use crate::models::content::Embeddings;
use crate::models::content::TermVectors;
use crate::models::content::embed;
use crate::state::Entry;
use crate::state::View;

impl View {
    /// The embedding of an item, described by its entry and its terms.
    pub(crate) fn embed(
        &self,
        entry: &Entry,
        terms: &TermVectors,
    ) -> Option<(EmbeddingSpace, Vec<f32>)> {
        let own = entry.item.as_ref().map_or(&[][..], |item| &item.embedding);
        let latent = self.model.as_ref().and_then(|model| model.content.latent.as_ref());
        embed(own, self.settings.embedding_dimension as usize, terms.whole(), latent)
    }

    /// The factors that the content of an item predicts.
    pub(crate) fn predicted_factors(&self, item: ItemIndex) -> Option<Vec<f32>> {
        let (space, row) = self.items.embeddings.row(item)?;
        self.model.as_ref()?.content.factors(space, row)
    }

    /// Derives the embeddings of all items.
    pub(crate) fn embed_all(&mut self) {
        let rank = self.model.as_ref().map_or(0, |model| model.content.rank());
        let mut embeddings = Embeddings::new(self.settings.embedding_dimension as usize, rank);
        let items = 0..self.items.entries.len() as u32;
        // An embedding depends on its item alone, so threads change no bit.
        let derived: Vec<_> = items
            .into_par_iter()
            .map(ItemIndex::new)
            .map(|index| self.embed(&self.items.entries[index], &self.items.terms[index]))
            .collect();
        for (index, embedding) in self.item_indices().zip(derived) {
            embeddings.set(index, embedding);
        }
        self.items.embeddings = embeddings;
    }

    /// Gives every item that the model was not trained on the factors its content predicts, right
    /// after a switch.
    pub(crate) fn predict_all_factors(&mut self) {
        let rows = self
            .item_indices()
            .filter(|&index| !self.items.factors.is_trained(index))
            .filter_map(|index| Some((index, self.predicted_factors(index)?)));
        let rows: Vec<(ItemIndex, Vec<f32>)> = rows.collect();
        self.items.factors.set_rows(rows.into_iter());
    }
}

impl Engine {
    /// Derives the embedding of one item.
    pub(crate) fn embed_item(&mut self, index: ItemIndex) {
        let view = &self.view;
        let embedding = view.embed(&view.items.entries[index], &view.items.terms[index]);
        self.view.items.embeddings.set(index, embedding);
    }

    /// Gives an item that no training has seen the factors its content predicts; one with
    /// evidence of its own is solved again.
    pub(crate) fn predict_factors(&mut self, index: ItemIndex) {
        let Some(model) = &self.view.model else {
            return;
        };
        let k = model.k;
        if self.view.items.factors.is_trained(index) {
            return;
        }
        if self.view.items.online.sums(index).is_some() {
            self.note_unsolved(index);
            return;
        }
        let row = self.view.predicted_factors(index).unwrap_or_else(|| vec![0.0; k]);
        self.view.items.factors.set_row(index, &row);
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::Effort;
    use crate::GiveUp;
    use crate::domain::EventId;
    use crate::domain::Interaction;
    use crate::domain::InteractionContext;
    use crate::domain::InteractionType;
    use crate::domain::Item;
    use crate::domain::ItemId;
    use crate::domain::LogRecord;
    use crate::domain::PublishedModel;
    use crate::domain::Record;
    use crate::domain::Settings;
    use crate::domain::Timestamp;
    use crate::domain::UserId;
    use crate::features::Candidate;
    use crate::features::UserContext;
    use crate::models::contexts::RequestValues;
    use crate::retrieval::Eligibility;
    use crate::retrieval::Filter;
    use crate::retrieval::Retrieval;
    use crate::train;

    const DIMENSION: usize = 4;

    /// An engine and the records it has learnt.
    struct World {
        engine: Engine,
        records: Vec<LogRecord>,
    }

    impl World {
        /// 80 items of two tastes and 40 users who like those of their taste, trained.
        fn new() -> Self {
            let settings = Settings {
                embedding_dimension: DIMENSION as u32,
                collaborative_factors: 16,
                ..Settings::default()
            };
            let mut world = Self { engine: Engine::new(settings), records: Vec::new() };
            for number in 0..80 {
                world.learn(Record::ItemUpserted(item(number)));
            }
            for step in 0..1_600 {
                // Twenty items each, of the user's taste.
                let (user, nth) = (step % 40, step / 40);
                let number = (user * 7 + nth * 3) % 40 * 2 + user % 2;
                world.like(user, number);
            }
            let model = world.trained();
            world.learn(Record::ModelPublished(model));
            world
        }

        fn trained(&self) -> PublishedModel {
            train(self.engine.state(), Effort::Search, &mut |_| ControlFlow::Continue(())).unwrap()
        }

        fn learn(&mut self, record: Record) {
            let sequence = self.records.len() as u64 + 1;
            let recorded_at = Timestamp::from_seconds(1_700_000_000 + sequence as i64);
            self.records.push(LogRecord { sequence, recorded_at, record });
            self.engine.apply(&self.records[self.records.len() - 1..]).unwrap();
        }

        fn like(&mut self, user: usize, number: usize) {
            self.learn(Record::Interaction(Interaction {
                event_id: EventId::parse(format!("e{}", self.records.len())).unwrap(),
                user_id: UserId::parse(format!("p{user}")).unwrap(),
                item_id: item(number).item_id,
                kind: InteractionType::Like,
                value: None,
                occurred_at: Timestamp::from_seconds(1_700_000_000 + self.records.len() as i64),
                session_id: None,
                decision_id: None,
                position: None,
                context: InteractionContext::default(),
            }));
        }

        fn index(&self, number: usize) -> ItemIndex {
            self.engine.state().item_index(&format!("i{number}")).unwrap()
        }

        /// Collaborative score of an item for a user.
        fn collaborative(&self, user: usize, number: usize) -> f32 {
            let view = self.engine.state();
            let user = view.user(view.user_index(&format!("p{user}")).unwrap());
            let factors = view.fold_in(user).unwrap();
            let row = view.items.factors.row(self.index(number));
            row.map_or(0.0, |row| crate::numeric::dot(&factors, row))
        }
    }

    /// Even items are of one taste, odd ones of another; each has words of its own taste only.
    fn item(number: usize) -> Item {
        let words = [
            ["river", "boat", "fish", "lake", "water", "shore", "wave", "swim"],
            ["stone", "peak", "climb", "rope", "snow", "ridge", "cliff", "hike"],
        ][number % 2];
        let word = |index: usize| words[(number / 2 * 3 + index * index) % 8];
        Item {
            title: format!("{} {} {}", word(0), word(1), word(2)),
            ..Item::new(ItemId::parse(format!("i{number}")).unwrap())
        }
    }

    #[test]
    fn new_items_of_a_taste_are_found_for_its_users_before_their_first_interaction() {
        let mut world = World::new();
        for number in 80..100 {
            world.learn(Record::ItemUpserted(item(number)));
        }
        for user in 0..6 {
            let (own, other) = (80 + user % 2, 81 - user % 2);
            let own_score = world.collaborative(user, own);
            assert!(own_score > 0.1 && own_score > 2.0 * world.collaborative(user, other));
            let view = world.engine.state();
            let known = view.user(view.user_index(&format!("p{user}")).unwrap());
            let context = UserContext::new(view, Some(known));
            let score = |number| {
                let candidate = Candidate::known(view, world.index(number));
                context.embedding_taste.score(view, &candidate)
            };
            assert!(score(own) > 0.5 && score(other) < 0.2);
            let filter = Filter::default();
            let retrieval = Retrieval {
                view,
                user: Some(known),
                context: &context,
                eligible: &Eligibility::new(view, &filter, "", &context, view.clock(), &[]),
                values: RequestValues::NONE,
                now: view.clock(),
                seed_key: b"",
                give_up: &GiveUp::never(),
            };
            let found = retrieval.personal().unwrap();
            assert!((80..100).step_by(2).all(|n| found.contains(&world.index(n + user % 2))));
        }
    }

    #[test]
    fn a_model_gives_untouched_items_what_an_upsert_after_it_gives() {
        let mut world = World::new();
        world.learn(Record::ItemUpserted(item(90)));
        let after = world.collaborative(0, 90);
        let model = world.trained();
        world.learn(Record::ModelPublished(model));
        let before = world.collaborative(0, 90);
        assert!(after > 0.1 && (after - before).abs() < 0.1 * after, "{after} {before}");
        let view = world.engine.state();
        let gram = crate::models::collaborative::gram(&view.items.factors.rows.to_vec(), 16);
        let kept = &view.items.factors.gram;
        assert!(gram.iter().zip(kept.iter()).all(|(a, b)| (a - b).abs() < 1e-3));
    }

    #[test]
    fn evidence_against_the_content_overrules_it_in_time() {
        let mut world = World::new();
        world.learn(Record::ItemUpserted(item(80)));
        let predicted = world.collaborative(2, 80);
        // An item with the words of the even taste that the users of the odd one like.
        for nth in 0..19 {
            world.like(nth * 2 + 1, 80);
        }
        for _ in 0..16 {
            world.learn(Record::ItemUpserted(item(0)));
        }
        assert!(world.collaborative(2, 80) < predicted);
        assert!(world.collaborative(39, 80) > world.collaborative(2, 80));
    }

    #[test]
    fn items_with_embeddings_are_compared_in_their_own_space_and_restored_to_it() {
        let mut world = World::new();
        for number in 0..80 {
            let embedding = vec![1.0 - 2.0 * (number % 2) as f32, 0.2, 0.0, 0.1];
            world.learn(Record::ItemUpserted(Item { embedding, ..item(number) }));
        }
        let model = world.trained();
        world.learn(Record::ModelPublished(model));
        // No word of it is known: the embedding alone tells.
        let embedding = vec![1.0, 0.0, 0.1, 0.0];
        let unknown = Item { embedding, title: "zzz".to_owned(), ..item(80) };
        world.learn(Record::ItemUpserted(unknown));
        let stored = |engine: &Engine| {
            let (space, row) = engine.state().items.embeddings.row(world.index(80)).unwrap();
            (space, row.to_vec())
        };
        assert_eq!(stored(&world.engine).0, EmbeddingSpace::Own);
        assert!(world.collaborative(0, 80) > 2.0 * world.collaborative(1, 80).max(0.05));
        let restored = Engine::restore(world.engine.state().sections()).unwrap();
        assert_eq!(stored(&restored), stored(&world.engine));
        assert_eq!(restored.state().digest(), world.engine.state().digest());
    }
}
