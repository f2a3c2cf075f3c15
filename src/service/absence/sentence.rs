//! What was found, in words for operators. Ranks and positions count from 1 here, from 0 in fields.

use super::Absence;
use super::Alteration;
use super::Cause;
use super::Gap;
use engine::Exclusion;
use engine::domain::Withheld;

/// Differences that are named.
const DIFFERENCES: usize = 2;

pub fn of(absence: &Absence, positions: usize) -> String {
    let mut sentence = match absence.cause {
        Cause::Present => {
            let position = absence.position.map_or(0, |position| position + 1);
            format!("in the answer, at position {position}")
        }
        Cause::UnknownItem => "no item of this id is known".to_owned(),
        Cause::NotInCatalogue => "not in the catalogue: known from interactions only".to_owned(),
        Cause::Filtered => {
            let rules: Vec<&str> = absence.exclusions.iter().map(|&rule| exclusion(rule)).collect();
            format!("filtered out: {}", rules.join("; "))
        }
        Cause::NotACandidate => "not among the candidates of the request".to_owned(),
        Cause::NotRetrieved => "no source of candidates came up with it".to_owned(),
        Cause::Suppressed => {
            let rank = absence.gap.as_ref().map_or(0, |gap| gap.candidate_rank.rank + 1);
            format!("rank {rank} by score for {positions} positions, but left out for others' sake")
        }
        Cause::Outranked => absence.gap.as_ref().map_or_else(String::new, outranked),
    };
    if let Some(best) = absence.suggestions.first() {
        sentence.push_str("; ");
        sentence.push_str(&best.sentence);
    }
    sentence
}

fn outranked(gap: &Gap) -> String {
    let rank = gap.candidate_rank.rank + 1;
    let mut sentence = format!("rank {rank} of {} candidates by score", gap.candidates);
    if let Some((id, score)) = &gap.last_shown {
        let behind = score - gap.candidate_rank.score;
        sentence.push_str(&format!(", {behind:.4} behind the last one shown, {id}"));
    }
    let behind = gap.differences.iter().filter(|difference| difference.1 > 0.0);
    let named: Vec<String> =
        behind.take(DIFFERENCES).map(|(name, part)| format!("{name} {part:.4}")).collect();
    if !named.is_empty() {
        sentence.push_str(&format!(", most of it by {}", named.join(" and ")));
    }
    sentence
}

pub fn suggestion(alterations: &[Alteration], position: usize) -> String {
    let parts: Vec<String> = alterations.iter().map(|&one| alteration(one)).collect();
    format!("{}: it would be at position {}", parts.join(" and "), position + 1)
}

fn exclusion(rule: Exclusion) -> &'static str {
    match rule {
        Exclusion::NotInCatalogue => "it is not in the catalogue",
        Exclusion::Topics => "none of its topics is among `topics`",
        Exclusion::Sources => "its source is not among `sources`",
        Exclusion::Attributes => "its attributes are not those of `attributes`",
        Exclusion::PublishedAfter => "it is older than `published_after`, or of unknown age",
        Exclusion::Listed => "it is among `exclude_item_ids`",
        Exclusion::Expression => "`expression` does not hold for it",
        Exclusion::Seen => "the user has already had it",
        Exclusion::SeenCooldown => "the user had it within `seen_cooldown`",
        Exclusion::SeenAfterSessions => "the user had it `seen_after_sessions` times",
        Exclusion::FrequencyCap => "it was shown `frequency_cap_per_day` times in 24 hours",
        Exclusion::EarlierPage => "an earlier page of the list shows it",
        Exclusion::BlockedItem => "the user has blocked it",
        Exclusion::BlockedSource => "the user has blocked its source",
        Exclusion::BlockedTopic => "the user has blocked one of its topics",
        Exclusion::HiddenByUser => "the user hid it",
        Exclusion::Withheld(Withheld::Hidden) => "it is a hidden item",
        Exclusion::Withheld(Withheld::NotYetPublished) => "it is not published yet",
        Exclusion::Withheld(Withheld::Expired) => "it has expired",
    }
}

fn alteration(one: Alteration) -> String {
    match one {
        Alteration::Without(Exclusion::Seen) => "allow seen items".to_owned(),
        Alteration::Without(rule) => format!("drop `{}`", field(rule)),
        Alteration::AddCandidate => "name it in `candidate_ids`".to_owned(),
        Alteration::MaxResults(positions) => format!("raise `max_results` to {positions}"),
        Alteration::Boost(addend) => format!("a boost of +{}", digits(addend)),
        Alteration::NoTopicThreshold => "drop `topic_diversity_threshold`".to_owned(),
        Alteration::NoSourceThreshold => "drop `source_diversity_threshold`".to_owned(),
        Alteration::NoMaxPerTopic => "drop `max_per_topic`".to_owned(),
        Alteration::NoMaxPerSource => "drop `max_per_source`".to_owned(),
        Alteration::NoDiversityWeight => "set `diversity_weight` to 0".to_owned(),
        Alteration::NoSerendipity => "set `serendipity_weight` to 0".to_owned(),
        Alteration::NoNovelty => "set `novelty_weight` to 0".to_owned(),
        Alteration::NoDiversity => "turn diversity and its caps off".to_owned(),
        Alteration::NoPins => "drop `pins`".to_owned(),
    }
}

fn field(rule: Exclusion) -> &'static str {
    match rule {
        Exclusion::NotInCatalogue => "the catalogue",
        Exclusion::Topics => "topics",
        Exclusion::Sources => "sources",
        Exclusion::Attributes => "attributes",
        Exclusion::PublishedAfter => "published_after",
        Exclusion::Listed => "exclude_item_ids",
        Exclusion::Expression => "expression",
        Exclusion::Seen => "include_seen",
        Exclusion::SeenCooldown => "seen_cooldown",
        Exclusion::SeenAfterSessions => "seen_after_sessions",
        Exclusion::FrequencyCap => "frequency_cap_per_day",
        Exclusion::EarlierPage => "the earlier pages",
        Exclusion::BlockedItem | Exclusion::BlockedSource | Exclusion::BlockedTopic => {
            "what the user has blocked"
        }
        Exclusion::HiddenByUser => "what the user hid",
        Exclusion::Withheld(Withheld::Hidden) => "hidden",
        Exclusion::Withheld(Withheld::NotYetPublished) => "published_at",
        Exclusion::Withheld(Withheld::Expired) => "expires_at",
    }
}

/// Six decimals are what a rounded boost can have.
fn digits(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
