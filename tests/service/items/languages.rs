//! A request's language chooses titles; all texts count for similarity.

use personalization::proto::Item;
use personalization::proto::LocalizedText;
use personalization::proto::OnboardingItemsRequest;
use personalization::proto::PersonalizeRequest;
use personalization::proto::RequestContext;
use personalization::proto::SimilarItemsRequest;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::click;
use crate::harness::greedy;

fn item(id: &str, texts: &[(&str, &str)]) -> Item {
    let localized = texts[1..].iter().map(|(tag, title)| {
        let text = LocalizedText { title: (*title).to_owned(), content: String::new() };
        ((*tag).to_owned(), text)
    });
    Item {
        item_id: id.to_owned(),
        title: texts[0].1.to_owned(),
        language: texts[0].0.to_owned(),
        localized: localized.collect(),
        ..Item::default()
    }
}

async fn shelf() -> (Server, Api, u64) {
    let server = Server::start().await;
    let api = server.api().await;
    let items = vec![
        item("mug", &[("en", "Blue mug"), ("de", "Blaue Tasse"), ("pt-BR", "Caneca azul")]),
        item("cup", &[("fr", "Tasse bleue"), ("de", "Blaue Tasse mit Henkel")]),
        item("rug", &[("en", "Persian rug"), ("de", "Perserteppich")]),
    ];
    let last = api.upsert(items).await.last_sequence;
    (server, api, last)
}

#[tokio::test]
async fn titles_of_an_answer_and_of_its_reasons_are_in_the_language_of_the_request() {
    let (_server, api, _) = shelf().await;
    let min_watermark = api.record(vec![click("anna", "mug")]).await.last_sequence;
    for (language, mug, cup) in [
        ("de-AT", "Blaue Tasse", "Blaue Tasse mit Henkel"),
        ("PT", "Caneca azul", "Tasse bleue"),
        ("it", "Blue mug", "Tasse bleue"),
        ("", "Blue mug", "Tasse bleue"),
    ] {
        let context = RequestContext { language: language.to_owned(), ..Default::default() };
        let request = PersonalizeRequest {
            context: Some(context),
            explain: true,
            min_watermark,
            ..greedy("anna", 2)
        };
        let answer = api.personalize(request).await;
        let found = answer.recommendations.iter().find(|one| one.item_id == "cup").unwrap();
        assert_eq!(found.title, cup, "{language}");
        let causes = found.reason_details.iter().filter(|one| one.cause_item_id == "mug");
        let causes: Vec<_> = causes.collect();
        assert!(!causes.is_empty(), "{found:?}");
        for cause in causes {
            assert_eq!(cause.cause_title, mug, "{language}");
            assert!(cause.text.contains(mug), "{}", cause.text);
        }
    }
}

#[tokio::test]
async fn similar_and_onboarding_items_have_titles_in_a_language_too() {
    let (_server, api, min_watermark) = shelf().await;
    let language = || "de".to_owned();
    let request =
        OnboardingItemsRequest { language: language(), min_watermark, ..Default::default() };
    let asked = api.personalization.clone().onboarding_items(request).await.unwrap().into_inner();
    let mut titles: Vec<_> = asked.items.iter().map(|one| one.title.as_str()).collect();
    titles.sort_unstable();
    assert_eq!(titles, ["Blaue Tasse", "Blaue Tasse mit Henkel", "Perserteppich"]);
    let request = SimilarItemsRequest {
        item_id: "mug".to_owned(),
        language: language(),
        ..Default::default()
    };
    let similar = api.personalization.clone().similar_items(request).await.unwrap().into_inner();
    let first = &similar.items[0];
    assert_eq!((&*first.item_id, &*first.title), ("cup", "Blaue Tasse mit Henkel"));
    assert!(first.components["content"] > 0.05, "by German alone: {first:?}");
}
