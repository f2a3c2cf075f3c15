//! Items: a topic, a position in the hidden space, a hidden appeal, and words that tell of both.

use std::fmt::Write as _;

use rand_chacha::ChaCha8Rng;

use super::draws;
use crate::seed;

/// Topics of a world.
pub const TOPICS: usize = 10;
/// Dimensions of the hidden space within topics.
pub const DIMENSIONS: usize = 6;
/// Who publishes or makes the items; tastes do not know of it.
const SOURCES: usize = 8;
/// Words of one topic, and of one end of one dimension.
const WORDS: usize = 30;
const ID_PREFIX: &str = "item-";
/// The share of the items that people need again and again, where items are bought.
const REPEATED: f64 = 0.15;

/// An item, by its number.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub id: String,
    pub title: String,
    pub content: String,
    pub source: String,
    /// The round at whose start it appears; before the first one, below 0.
    pub published: i64,
    /// Whether people need it again some rounds after they bought it.
    pub is_repeated: bool,
    pub(super) topic: usize,
    pub(super) position: Vec<f64>,
    pub(super) appeal: f64,
}

impl Item {
    /// The item of a number.
    pub(super) fn draw(seed: u64, number: usize, published: i64) -> Self {
        let mut rng = draws::stream(seed, "item", &[number as u64]);
        // Some topics have many items, most have few.
        let topic = (seed::unit(&mut rng) * seed::unit(&mut rng).sqrt() * TOPICS as f64) as usize;
        let position = draws::normals(&mut rng, DIMENSIONS);
        let appeal = draws::normal(&mut rng);
        let is_repeated = seed::unit(&mut rng) < REPEATED;
        let source = format!("source-{}", seed::below(&mut rng, SOURCES) + 1);
        let title = text(&mut rng, topic, &position, 2, 1);
        let content = text(&mut rng, topic, &position, 12, 12);
        let id = format!("{ID_PREFIX}{number}");
        Self { id, title, content, source, published, is_repeated, topic, position, appeal }
    }

    /// The number of the item with this id.
    pub fn number(id: &str) -> Option<usize> {
        id.strip_prefix(ID_PREFIX)?.parse().ok()
    }

    /// The name of the topic.
    pub fn topic(&self) -> String {
        format!("topic-{}", self.topic + 1)
    }
}

/// Words of the topic, and of the dimensions in which the item lies far out.
fn text(
    rng: &mut ChaCha8Rng,
    topic: usize,
    position: &[f64],
    of_topic: usize,
    of_position: usize,
) -> String {
    let mut text = String::new();
    for _ in 0..of_topic {
        push(&mut text, topic * WORDS + seed::below(rng, WORDS));
    }
    let reach: f64 = position.iter().map(|value| value * value).sum();
    for _ in 0..of_position {
        let mut left = seed::unit(rng) * reach;
        let at = position.iter().position(|value| {
            left -= value * value;
            left <= 0.0
        });
        let dimension = at.unwrap_or(DIMENSIONS - 1);
        let end = TOPICS + 2 * dimension + usize::from(position[dimension] > 0.0);
        push(&mut text, end * WORDS + seed::below(rng, WORDS));
    }
    text
}

/// A word that no language has, one for each number.
fn push(text: &mut String, number: usize) {
    const STARTS: [char; 12] = ['b', 'd', 'f', 'g', 'k', 'l', 'm', 'n', 'p', 'r', 't', 'v'];
    const VOWELS: [char; 3] = ['a', 'o', 'u'];
    if !text.is_empty() {
        text.push(' ');
    }
    let mut left = number;
    for _ in 0..3 {
        let (start, vowel) = (STARTS[left % 12], VOWELS[left / 12 % 3]);
        let _ = write!(text, "{start}{vowel}");
        left /= 36;
    }
    text.push('k');
}
