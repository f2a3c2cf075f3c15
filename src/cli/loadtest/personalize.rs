//! The measured Personalize calls: users, candidates, and a fixed set of prepared requests.
//!
//! - The requests come from the seed: two runs against the same catalogue send the same.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tonic::Code;
use tonic::transport::Channel;

use crate::cli::Failure;
use crate::cli::loadtest::drive::Call;
use crate::proto::ItemView;
use crate::proto::ListItemsRequest;
use crate::proto::PersonalizeRequest;
use crate::proto::catalog_service_client::CatalogServiceClient;
use crate::proto::personalization_service_client::PersonalizationServiceClient;

/// How many different requests are sent, in turn.
const REQUESTS: usize = 1_024;
/// How many calls the answer's size is taken from, before anything is measured.
const PROBES: u64 = 64;
/// Items of the catalogue that are used at most: bounds the listing, one page being 1,000.
const ITEMS: usize = 100_000;
const PAGE: u32 = 1_000;

/// The users and items of a load.
#[derive(Clone, Debug)]
pub struct Population {
    pub namespace: String,
    /// User ids, with the number instead of `{}`.
    pub user_pattern: String,
    /// Users are numbered from 1 to this.
    pub users: u64,
    /// Items candidates are drawn from. May be empty.
    pub items: Arc<Vec<String>>,
}

impl Population {
    /// The id of a user drawn at random.
    pub fn user(&self, rng: &mut ChaCha8Rng) -> String {
        numbered(&self.user_pattern, rng.random_range(1..=self.users))
    }

    /// An item drawn at random; an id by number if there are none.
    pub fn item(&self, rng: &mut ChaCha8Rng) -> String {
        if self.items.is_empty() {
            return format!("item-{}", rng.random_range(1..=10_000_u32));
        }
        self.items[rng.random_range(0..self.items.len())].clone()
    }
}

/// The pattern with the number instead of `{}`.
pub fn numbered(pattern: &str, number: u64) -> String {
    pattern.replace("{}", &number.to_string())
}

/// The ids of the first items of the catalogue.
///
/// # Errors
/// What ListItems failed with.
pub async fn listed_items(channel: Channel, namespace: &str) -> Result<Vec<String>, Failure> {
    let mut client = CatalogServiceClient::new(channel);
    let mut ids = Vec::new();
    let mut page_token = String::new();
    while ids.len() < ITEMS {
        let request = ListItemsRequest {
            namespace: namespace.to_owned(),
            page_size: PAGE,
            page_token,
            view: ItemView::Basic.into(),
        };
        let page = client.list_items(request).await?.into_inner();
        ids.extend(page.items.into_iter().map(|item| item.item_id));
        if page.next_page_token.is_empty() {
            break;
        }
        page_token = page.next_page_token;
    }
    ids.truncate(ITEMS);
    Ok(ids)
}

/// Personalize, over several connections in turn.
#[derive(Debug)]
pub struct Personalize {
    clients: Vec<PersonalizationServiceClient<Channel>>,
    requests: Vec<PersonalizeRequest>,
    timeout: Duration,
}

impl Personalize {
    /// Prepares requests of `candidates` distinct candidates each; with 0 the server retrieves.
    ///
    /// # Errors
    /// When the population has too few items.
    pub fn new(
        channels: &[Channel],
        population: &Population,
        options: &Options,
    ) -> Result<Self, Failure> {
        let available = population.items.len();
        if available < options.candidates {
            return Err(format!(
                "{} candidates asked for, but only {available} items known; import a catalogue, or give \
                 --item-pattern",
                options.candidates
            )
            .into());
        }
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let requests = (0..REQUESTS)
            .map(|_| PersonalizeRequest {
                namespace: population.namespace.clone(),
                user_id: population.user(&mut rng),
                candidate_ids: distinct(&population.items, options.candidates, &mut rng),
                max_results: options.max_results,
                ..PersonalizeRequest::default()
            })
            .collect();
        Ok(Self {
            clients: channels.iter().cloned().map(PersonalizationServiceClient::new).collect(),
            requests,
            timeout: options.timeout,
        })
    }

    /// The encoded size of each prepared request, in the order in which they are sent.
    pub fn request_bytes(&self) -> Vec<usize> {
        self.requests.iter().map(Message::encoded_len).collect()
    }

    /// The median encoded size of the answers to the first requests.
    ///
    /// # Errors
    /// What a call failed with: a server that cannot answer one call is not worth a load.
    pub async fn response_bytes(&self) -> Result<usize, Failure> {
        let mut sizes = Vec::new();
        for number in 0..PROBES {
            let (mut client, request) = self.prepared(number);
            sizes.push(client.personalize(request).await?.into_inner().encoded_len());
        }
        sizes.sort_unstable();
        Ok(sizes[sizes.len() / 2])
    }

    fn prepared(
        &self,
        number: u64,
    ) -> (PersonalizationServiceClient<Channel>, tonic::Request<PersonalizeRequest>) {
        let client = self.clients[index(number, self.clients.len())].clone();
        let mut request =
            tonic::Request::new(self.requests[index(number, self.requests.len())].clone());
        request.set_timeout(self.timeout);
        (client, request)
    }
}

/// What the calls are like.
#[derive(Clone, Debug)]
pub struct Options {
    pub candidates: usize,
    /// 0: the server's default.
    pub max_results: u32,
    pub timeout: Duration,
    pub seed: u64,
}

impl Call for Personalize {
    async fn call(&self, number: u64) -> Result<(), Code> {
        let (mut client, request) = self.prepared(number);
        match tokio::time::timeout(self.timeout, client.personalize(request)).await {
            Ok(Ok(_response)) => Ok(()),
            Ok(Err(status)) => Err(status.code()),
            Err(_elapsed) => Err(Code::DeadlineExceeded),
        }
    }
}

/// `number` modulo `length`, as an index.
pub fn index(number: u64, length: usize) -> usize {
    usize::try_from(number % length as u64).expect("less than a length")
}

/// `count` different entries, at random; `count` is at most the number of entries.
fn distinct(entries: &[String], count: usize, rng: &mut ChaCha8Rng) -> Vec<String> {
    // Floyd's method: one draw per entry, whatever the number to choose from.
    let mut chosen = std::collections::BTreeSet::new();
    for upper in entries.len() - count..entries.len() {
        let draw = rng.random_range(0..=upper);
        if !chosen.insert(draw) {
            chosen.insert(upper);
        }
    }
    chosen.into_iter().map(|index| entries[index].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_distinct_and_come_from_the_seed() {
        let entries: Vec<String> = (0..120).map(|number| number.to_string()).collect();
        let draw = |seed| distinct(&entries, 100, &mut ChaCha8Rng::seed_from_u64(seed));
        let mut once = draw(7);
        assert_eq!(once, draw(7));
        assert_ne!(once, draw(8));
        once.sort();
        once.dedup();
        assert_eq!(once.len(), 100);
    }

    #[test]
    fn all_entries_can_be_candidates() {
        let entries = vec!["a".to_owned(), "b".to_owned()];
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        assert_eq!(distinct(&entries, 2, &mut rng), entries);
        assert!(distinct(&[], 0, &mut rng).is_empty());
    }

    #[test]
    fn a_pattern_takes_the_number_instead_of_its_braces() {
        assert_eq!(numbered("user-{}", 12), "user-12");
        assert_eq!(numbered("{}", 3), "3");
    }
}
