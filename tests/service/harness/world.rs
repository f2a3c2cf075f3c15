//! A small world of two tastes: 20 jazz and 20 metal items, and fans of each.

use personalization::proto::DiversityParams;
use personalization::proto::Interaction;
use personalization::proto::InteractionType;
use personalization::proto::Item;
use personalization::proto::PersonalizeRequest;
use personalization::proto::PersonalizeResponse;
use personalization::proto::Strategy;

use super::api::Api;
use super::make::event;
use super::make::now_plus;
use super::make::structure;
use super::make::text;

const DAY: i64 = 86_400;
/// Items of each taste, and fans of each.
pub const PER_TASTE: usize = 20;

pub struct World;

impl World {
    /// Items `jazz-00` to `metal-19`; item n appeared n days ago, in the colour
    /// `even` or `odd`.
    pub fn items() -> Vec<Item> {
        let tastes = [
            ("jazz", "blue", "saxophone swing improvised trumpet"),
            ("metal", "iron", "guitar distortion drums loud"),
        ];
        let item = |(taste, source, content): (&str, &str, &str), n: usize| Item {
            item_id: format!("{taste}-{n:02}"),
            title: format!("{taste} record {n}"),
            content: format!("{content} volume {n}"),
            topics: vec![taste.to_owned()],
            source: source.to_owned(),
            published_at: Some(now_plus(-DAY * n as i64 - DAY / 2)),
            attributes: structure([(
                "parity",
                text(if n.is_multiple_of(2) { "even" } else { "odd" }),
            )]),
            ..Item::default()
        };
        tastes.into_iter().flat_map(|taste| (0..PER_TASTE).map(move |n| item(taste, n))).collect()
    }

    /// Each fan likes six items of one taste; all like `metal-00`.
    pub fn likes() -> Vec<Interaction> {
        let mut likes = Vec::new();
        for (taste, fan) in
            ["jazz", "metal"].into_iter().flat_map(|t| (0..PER_TASTE).map(move |f| (t, f)))
        {
            let user = format!("{taste}-fan-{fan}");
            let liked = (0..6).map(|n| format!("{taste}-{:02}", (fan + n * 3) % PER_TASTE));
            for item in liked.chain(["metal-00".to_owned()]) {
                let id = format!("{user}/{item}");
                likes.push(event(&id, &user, &item, InteractionType::Like));
            }
        }
        likes
    }

    /// Fills the namespace of the clients; returns the last sequence.
    pub async fn fill(api: &Api) -> u64 {
        let upserted = api.upsert(Self::items()).await;
        assert_eq!((upserted.accepted, upserted.rejected), (2 * PER_TASTE as u64, 0));
        let recorded = api.record(Self::likes()).await;
        assert_eq!(recorded.rejected, 0);
        // A request after this finds it learnt.
        api.profile("jazz-fan-1", recorded.last_sequence).await;
        recorded.last_sequence
    }
}

/// Asks for the best `positions` of the catalogue, with nothing left to chance and no
/// variety for its own sake.
pub fn greedy(user: &str, positions: u32) -> PersonalizeRequest {
    PersonalizeRequest {
        user_id: user.to_owned(),
        strategy: Strategy::Greedy.into(),
        diversity: Some(DiversityParams {
            enable_diversity: Some(false),
            ..DiversityParams::default()
        }),
        max_results: positions,
        ..PersonalizeRequest::default()
    }
}

/// How many of the recommendations are of a taste.
pub fn of_taste(taste: &str, answer: &PersonalizeResponse) -> usize {
    answer.recommendations.iter().filter(|item| item.item_id.starts_with(taste)).count()
}
