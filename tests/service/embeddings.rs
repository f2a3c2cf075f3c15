//! Embeddings by a sentence-transformer: made when items are upserted, kept in the log.

use personalization::proto::GetItemRequest;
use personalization::proto::Item;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::get;
use crate::items::change;

fn model_dir() -> String {
    std::env::var("TEST_EMBEDDING_MODEL_DIR").expect(
        "TEST_EMBEDDING_MODEL_DIR is not set: scripts/test sets it; by hand, set it to what \
         scripts/install-embedding-model prints",
    )
}

fn film(item_id: &str, title: &str) -> Item {
    Item { item_id: item_id.to_owned(), title: title.to_owned(), ..Item::default() }
}

async fn embedding(api: &Api, item_id: &str) -> Vec<f32> {
    let request = GetItemRequest { item_id: item_id.to_owned(), ..Default::default() };
    let answer = api.catalog.clone().get_item(request).await.expect("the item is there");
    answer.into_inner().item.expect("it is described").embedding
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// How many embeddings had an outcome, by the server's metrics.
async fn counted(server: &Server, outcome: &str) -> u64 {
    let (_, metrics) = get(server.http, "/metrics").await;
    let name = format!("personalization_embeddings_total{{outcome=\"{outcome}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |count| count.parse().expect("a number"))
}

#[tokio::test]
async fn items_without_an_embedding_get_one_of_their_text_and_keep_it_without_the_model() {
    let mut server = Server::start_with(&["--embedding-model-dir", &model_dir()]).await;
    let api = server.api().await;
    let mut own = vec![0.0; 384];
    own[7] = 1.0;
    let given = Item { embedding: own.clone(), ..film("own", "A film that brings its vector") };
    let titles = [
        ("toys", "Toy dolls come to life when nobody is watching"),
        ("dolls", "A cowboy doll and a space ranger toy become friends"),
        ("bank", "The central bank raised interest rates by half a point"),
    ];
    let mut items: Vec<Item> = titles.iter().map(|(id, title)| film(id, title)).collect();
    items.push(given);
    assert_eq!(api.upsert(items).await.accepted, 4);

    let toys = embedding(&api, "toys").await;
    assert_eq!(toys.len(), 384);
    let near = cosine(&toys, &embedding(&api, "dolls").await);
    assert!(near > cosine(&toys, &embedding(&api, "bank").await) + 0.2);
    assert_eq!(embedding(&api, "own").await, own);
    assert_eq!((counted(&server, "computed").await, counted(&server, "cached").await), (3, 0));

    // The same text is not computed again.
    api.upsert(vec![film("again", titles[0].1)]).await;
    assert_eq!(embedding(&api, "again").await, toys);
    assert_eq!((counted(&server, "computed").await, counted(&server, "cached").await), (3, 1));

    // What is in the log needs no model.
    server.restart_without(&["--embedding-model-dir", &model_dir()]).await;
    let api = server.api().await;
    assert_eq!(embedding(&api, "toys").await, toys);
    api.upsert(vec![film("later", titles[1].1)]).await;
    assert!(embedding(&api, "later").await.is_empty());
}

#[tokio::test]
async fn a_computed_embedding_follows_a_change_of_the_texts_and_nothing_else_does() {
    let server = Server::start_with(&["--embedding-model-dir", &model_dir()]).await;
    let api = server.api().await;
    let mut own = vec![0.0; 384];
    own[7] = 1.0;
    let given = Item { embedding: own.clone(), ..film("own", "A film that brings its vector") };
    api.upsert(vec![film("a", "Toy dolls come to life"), given]).await;
    let before = embedding(&api, "a").await;
    let titled = |id| film(id, "The central bank raised interest rates");
    change(&api, vec![Item { hidden: true, ..film("a", "") }], &["hidden"]).await.unwrap();
    assert_eq!(embedding(&api, "a").await, before);
    change(&api, vec![titled("a"), titled("own")], &["title"]).await.unwrap();
    api.upsert(vec![titled("same")]).await;
    assert_eq!(embedding(&api, "a").await, embedding(&api, "same").await);
    assert_eq!(embedding(&api, "own").await, own, "a caller gave it");
    // Named and not given: the one of the texts.
    change(&api, vec![film("own", "")], &["embedding"]).await.unwrap();
    assert_eq!(embedding(&api, "own").await, embedding(&api, "same").await);
}

#[tokio::test]
async fn a_namespace_of_another_dimension_is_left_alone() {
    let server = Server::start_with(&["--embedding-model-dir", &model_dir()]).await;
    let api = server.api().await;
    let settings = personalization::proto::NamespaceSettings {
        embedding_dimension: Some(3),
        ..Default::default()
    };
    let request = personalization::proto::CreateNamespaceRequest {
        namespace: "small".to_owned(),
        settings: Some(settings),
    };
    api.admin.clone().create_namespace(request).await.expect("a namespace");
    let small = Api { namespace: "small".to_owned(), ..api.clone() };
    small.upsert(vec![film("toys", "Toy dolls come to life")]).await;
    let request = GetItemRequest { namespace: "small".to_owned(), item_id: "toys".to_owned() };
    let answer = api.catalog.clone().get_item(request).await.expect("the item").into_inner();
    assert!(answer.item.expect("it is described").embedding.is_empty());
    assert_eq!(counted(&server, "computed").await, 0);
}
