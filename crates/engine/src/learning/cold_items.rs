//! Items nobody has touched yet: where their content is, and the factors it foretells.
//!
//! - Places of items are derived of entries, terms and model; they follow every change
//!   of these.
//! - Foretold factors are state: they are written when a model is switched to and when an
//!   item is upserted, to items that no training has seen. Evidence of an item's own is
//!   blended with them by the solve of new items, whose prior mean they are.
//! - The Gram matrix of the model counts the rows that stand in the factors.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::iter::IntoParallelIterator;
use rayon::iter::ParallelIterator;

use crate::Engine;
use crate::domain::Item;
use crate::models::collaborative;
use crate::models::content::ContentModel;
use crate::models::content::EmbeddingSpace;
use crate::models::content::Embeddings;
use crate::models::content::FactorMap;
use crate::models::content::Latent;
use crate::models::content::MapExample;
use crate::models::content::RANK_MAX;
use crate::models::content::SparseVector;
use crate::models::content::embed;
use crate::state::Entry;
use crate::state::View;

impl View {
    /// Where an item is, described by its entry and its terms.
    pub(crate) fn embed(
        &self,
        entry: &Entry,
        terms: &SparseVector,
    ) -> Option<(EmbeddingSpace, Vec<f32>)> {
        let own = entry.item.as_ref().map_or(&[][..], |item| &item.embedding);
        let latent = self.model.as_ref().and_then(|model| model.content.latent.as_ref());
        embed(own, self.settings.embedding_dimension as usize, terms, latent)
    }

    /// The factors that the content of an item foretells.
    pub(crate) fn foretold_factors(&self, item: u32) -> Option<Vec<f32>> {
        let (space, row) = self.items.embeddings.row(item)?;
        self.model.as_ref()?.content.factors(space, row)
    }
}

impl Engine {
    /// Derives where every item is.
    pub(crate) fn embed_all(&mut self) {
        let view = &self.view;
        let rank = view.model.as_ref().map_or(0, |model| model.content.rank());
        let mut embeddings = Embeddings::new(view.settings.embedding_dimension as usize, rank);
        let items = 0..view.items.entries.len();
        // A place depends on its item alone, so threads change no bit.
        let places: Vec<_> = items
            .into_par_iter()
            .map(|index| view.embed(&view.items.entries[index], &view.items.terms[index]))
            .collect();
        for (index, place) in places.into_iter().enumerate() {
            embeddings.set(index as u32, place);
        }
        self.view.items.embeddings = embeddings;
    }

    /// Derives where one item is.
    pub(crate) fn embed_item(&mut self, index: u32) {
        let view = &self.view;
        let place =
            view.embed(&view.items.entries[index as usize], &view.items.terms[index as usize]);
        self.view.items.embeddings.set(index, place);
    }

    /// Gives an item that no training has seen the factors its content foretells; one with
    /// evidence of its own is solved again.
    pub(crate) fn foretell(&mut self, index: u32) {
        let Some(model) = &self.view.model else {
            return;
        };
        if model.is_trained(index) {
            return;
        }
        if self.view.items.accumulators[index as usize].is_some() {
            if let Err(place) = self.view.unsolved.binary_search(&index) {
                self.view.unsolved.insert(place, index);
            }
            return;
        }
        let nothing = vec![0.0; model.k];
        let old =
            self.view.items.factors.row(index).map_or_else(|| nothing.clone(), <[f32]>::to_vec);
        let new = self.view.foretold_factors(index).unwrap_or(nothing);
        if old != new {
            let model = self.view.model.as_mut().expect("it was just there");
            collaborative::update_gram(&mut Arc::make_mut(model).item_gram, &old, &new);
            self.view.items.factors.set_row(index, &new);
        }
    }

    /// As [`Self::foretell`] for every item of the catalogue, right after a switch.
    pub(crate) fn foretell_all(&mut self) {
        let Some(model) = self.view.model.clone() else {
            return;
        };
        let mut any = false;
        for index in 0..self.view.items.entries.len() as u32 {
            if model.is_trained(index) {
                continue;
            }
            if let Some(factors) = self.view.foretold_factors(index) {
                self.view.items.factors.set_row(index, &factors);
                any = true;
            }
        }
        if any {
            let gram = collaborative::gram(&self.view.items.factors.to_vec(), model.k);
            let model = self.view.model.as_mut().expect("it was just there");
            Arc::make_mut(model).item_gram = gram;
        }
    }
}

/// Learns the latent space of the catalogue and the maps to trained factors, which are
/// row-major, `k` wide. `positives` counts those of each item.
pub(crate) fn fit_content(
    view: &View,
    item_factors: &[f32],
    k: usize,
    positives: &[u32],
) -> ContentModel {
    let catalogue: Vec<&SparseVector> =
        view.items.terms.iter().filter(|terms| !terms.is_empty()).collect();
    let settings = view.settings();
    let rank = (settings.embedding_dimension as usize).min(RANK_MAX);
    let latent = Latent::fit(&catalogue, rank, settings.seed);
    let dimension = settings.embedding_dimension as usize;
    let own = |item: &Item| embed(&item.embedding, dimension, &SparseVector::default(), None);
    let own_map = fit_map(item_factors, k, positives, |index| {
        own(view.items.entries[index].item.as_ref()?).map(|place| place.1)
    });
    // Every item with terms teaches this one, also those with an embedding of their own.
    let latent_map = fit_map(item_factors, k, positives, |index| {
        latent.as_ref()?.project(&view.items.terms[index])
    });
    ContentModel { latent, own_map, latent_map }
}

fn fit_map(
    item_factors: &[f32],
    k: usize,
    positives: &[u32],
    place: impl Fn(usize) -> Option<Vec<f32>>,
) -> Option<FactorMap> {
    let trained: Vec<(usize, Vec<f32>)> = (0..positives.len())
        .filter(|&index| positives[index] > 0)
        .filter_map(|index| Some((index, place(index)?)))
        .collect();
    let examples: Vec<MapExample<'_>> = trained
        .iter()
        .map(|(index, embedding)| MapExample {
            embedding,
            factors: &item_factors[index * k..][..k],
            positives: positives[*index],
        })
        .collect();
    FactorMap::fit(&examples)
}

/// Figures of what was learnt, by name.
pub(crate) fn content_figures(content: &ContentModel) -> BTreeMap<String, f64> {
    let mut figures = BTreeMap::from([("latent_dimensions".to_owned(), content.rank() as f64)]);
    let maps = [("content_map", &content.latent_map), ("embedding_map", &content.own_map)];
    for (name, map) in maps {
        let explained = map.as_ref().map_or(0.0, FactorMap::r_squared);
        figures.insert(format!("{name}_r_squared"), explained);
    }
    figures
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::Effort;
    use crate::GiveUp;
    use crate::domain::Attributes;
    use crate::domain::EventId;
    use crate::domain::Interaction;
    use crate::domain::InteractionContext;
    use crate::domain::InteractionType;
    use crate::domain::ItemId;
    use crate::domain::LogRecord;
    use crate::domain::PublishedModel;
    use crate::domain::Record;
    use crate::domain::Settings;
    use crate::domain::Timestamp;
    use crate::domain::UserId;
    use crate::features::Candidate;
    use crate::features::UserContext;
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
        /// 80 items of two tastes and 40 people who like those of theirs, trained.
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
                // Twenty items each, of the person's taste.
                let (person, nth) = (step % 40, step / 40);
                let number = (person * 7 + nth * 3) % 40 * 2 + person % 2;
                world.like(person, number);
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

        fn like(&mut self, person: usize, number: usize) {
            self.learn(Record::Interaction(Interaction {
                event_id: EventId::parse(format!("e{}", self.records.len())).unwrap(),
                user_id: UserId::parse(format!("p{person}")).unwrap(),
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

        fn index(&self, number: usize) -> u32 {
            self.engine.state().item_index(&format!("i{number}")).unwrap()
        }

        /// Collaborative score of an item for a person.
        fn collaborative(&self, person: usize, number: usize) -> f32 {
            let view = self.engine.state();
            let user = view.user(view.user_index(&format!("p{person}")).unwrap());
            let factors = view.fold_in(user).unwrap();
            let row = view.items.factors.row(self.index(number));
            row.map_or(0.0, |row| crate::numeric::dot(&factors, row))
        }
    }

    /// Even items are of one taste, odd ones of another; no word but of the subject's eight.
    fn item(number: usize) -> Item {
        let words = [
            ["river", "boat", "fish", "lake", "water", "shore", "wave", "swim"],
            ["stone", "peak", "climb", "rope", "snow", "ridge", "cliff", "hike"],
        ][number % 2];
        let word = |place: usize| words[(number / 2 * 3 + place * place) % 8];
        Item {
            item_id: ItemId::parse(format!("i{number}")).unwrap(),
            title: format!("{} {} {}", word(0), word(1), word(2)),
            content: String::new(),
            topics: Vec::new(),
            source: None,
            published_at: None,
            embedding: Vec::new(),
            attributes: Attributes::default(),
            language: None,
        }
    }

    #[test]
    fn new_items_of_a_taste_are_found_for_its_people_before_anybody_touched_them() {
        let mut world = World::new();
        for number in 80..100 {
            world.learn(Record::ItemUpserted(item(number)));
        }
        for person in 0..6 {
            let (own, other) = (80 + person % 2, 81 - person % 2);
            let own_score = world.collaborative(person, own);
            assert!(own_score > 0.1 && own_score > 2.0 * world.collaborative(person, other));
            let view = world.engine.state();
            let user = view.user(view.user_index(&format!("p{person}")).unwrap());
            let context = UserContext::new(view, Some(user));
            let score = |number| {
                let candidate = Candidate::known(view, world.index(number));
                context.embedding_taste.score(view, &candidate)
            };
            assert!(score(own) > 0.5 && score(other) < 0.2);
            let filter = Filter::default();
            let retrieval = Retrieval {
                view,
                user: Some(user),
                context: &context,
                eligible: &Eligibility::new(view, &filter, "", &context, view.clock(), &[]),
                location: None,
                now: view.clock(),
                seed_key: b"",
                give_up: &GiveUp::never(),
            };
            let found = retrieval.personal().unwrap();
            assert!((80..100).step_by(2).all(|n| found.contains(&world.index(n + person % 2))));
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
        let gram = collaborative::gram(&view.items.factors.to_vec(), 16);
        let kept = &view.model().unwrap().item_gram;
        assert!(gram.iter().zip(kept).all(|(a, b)| (a - b).abs() < 1e-3));
    }

    #[test]
    fn evidence_against_the_content_overrules_it_in_time() {
        let mut world = World::new();
        world.learn(Record::ItemUpserted(item(80)));
        let foretold = world.collaborative(2, 80);
        // An item with the words of the even taste that the people of the odd one like.
        for nth in 0..19 {
            world.like(nth * 2 + 1, 80);
        }
        for _ in 0..16 {
            world.learn(Record::ItemUpserted(item(0)));
        }
        assert!(world.collaborative(2, 80) < foretold);
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
        let place = |engine: &Engine| {
            let (space, row) = engine.state().items.embeddings.row(world.index(80)).unwrap();
            (space, row.to_vec())
        };
        assert_eq!(place(&world.engine).0, EmbeddingSpace::Own);
        assert!(world.collaborative(0, 80) > 2.0 * world.collaborative(1, 80).max(0.05));
        let restored = Engine::restore(world.engine.state().sections()).unwrap();
        assert_eq!(place(&restored), place(&world.engine));
        assert_eq!(restored.state().digest(), world.engine.state().digest());
    }
}
