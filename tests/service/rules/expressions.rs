//! `Filters.expression`: what passes, what is refused, and that lists stay full.

use personalization::proto::Filters;
use personalization::proto::Item;
use personalization::proto::PersonalizeRequest;
use prost_types::Value;
use prost_types::value::Kind;
use tonic_types::StatusExt;

use super::ids;
use super::world;
use crate::harness::Server;
use crate::harness::greedy;
use crate::harness::now_plus;
use crate::harness::strings;
use crate::harness::structure;
use crate::harness::text;

fn with(expression: &str, request: PersonalizeRequest) -> PersonalizeRequest {
    let filters = Filters { expression: expression.to_owned(), ..Filters::default() };
    PersonalizeRequest { filters: Some(filters), ..request }
}

#[tokio::test]
async fn an_expression_leaves_the_items_for_which_it_holds() {
    let (_server, api, min_watermark) = world().await;
    for (expression, expected) in [
        (r#"parity = "even" and "jazz" in topics"#, 10),
        ("source in ['blue', 'nobody'] or not topics in ['jazz']", 40),
        ("not (source = 'blue') and age_hours < 60", 2),
        ("has(price) or price > 3", 0),
        ("published_at > time('2000-01-01') and id != 'jazz-00'", 39),
    ] {
        let request = PersonalizeRequest { min_watermark, ..greedy("new-user", 100) };
        let answer = api.personalize(with(expression, request)).await;
        assert_eq!(answer.recommendations.len(), expected, "{expression}");
    }
    let candidate_ids = strings(["jazz-00", "jazz-01", "metal-01"]);
    let request = PersonalizeRequest { candidate_ids, ..greedy("new-user", 10) };
    let answer = api.personalize(with("parity = 'odd' and source = 'iron'", request)).await;
    assert_eq!(ids(&answer), ["metal-01"]);
}

#[tokio::test]
async fn a_wrong_expression_is_refused_with_its_byte_and_what_was_expected() {
    let server = Server::start().await;
    let api = server.api().await;
    let request = with("price < 20 and", greedy("new-user", 5));
    let status = api.try_personalize(request).await.unwrap_err();
    let details = status.get_error_details();
    let violation = &details.bad_request().unwrap().field_violations[0];
    assert_eq!(violation.field, "filters.expression");
    assert!(violation.description.contains("byte 14: expected a test"), "{violation:?}");
}

/// One item in 500 passes, of a catalogue that no source looks at as a whole.
#[tokio::test]
async fn a_selective_filter_over_a_large_catalogue_still_fills_the_list() {
    let server = Server::start().await;
    let api = server.api().await;
    let number = |n: f64| Value { kind: Some(Kind::NumberValue(n)) };
    let item = |n: usize| Item {
        item_id: format!("i{n:05}"),
        title: format!("Thing {}", n % 97),
        topics: vec![format!("t{}", n % 7)],
        source: if n % 500 == 499 { "rare" } else { "common" }.to_owned(),
        published_at: Some(now_plus(-(n as i64))),
        attributes: structure([("price", number((n % 500) as f64)), ("kind", text("thing"))]),
        ..Item::default()
    };
    let min_watermark = api.upsert((0..22_000).map(item).collect()).await.last_sequence;
    let request = || PersonalizeRequest { min_watermark, ..greedy("new-user", 40) };
    for expression in ["price = 499", "price >= 499 and kind = 'thing' and age_hours < 24"] {
        for _again in 0..2 {
            let answer = api.personalize(with(expression, request())).await;
            assert_eq!(answer.recommendations.len(), 40, "{expression}");
        }
    }
    assert_eq!(
        api.personalize(with("price = 499", greedy("new-user", 100))).await.recommendations.len(),
        44
    );
    // A cap leaves positions that only another source can fill.
    let mut capped = request();
    capped.diversity.as_mut().unwrap().max_per_source = Some(20);
    let answer = api.personalize(capped).await;
    assert_eq!(answer.recommendations.len(), 40);
    let rare = ids(&answer).iter().filter(|id| id.ends_with("499") || id.ends_with("999")).count();
    assert_eq!(rare, 20);
}
