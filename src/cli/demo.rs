//! `serve --demo`: loads the bundled MovieLens data through the service's own calls,
//! trains a model, and prints what to try next.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::Channel;
use tonic::transport::Endpoint;

use super::Failure;
use super::import;
use super::training;
use crate::proto;
use crate::proto::model_service_client::ModelServiceClient;
use crate::proto::personalization_service_client::PersonalizationServiceClient;
use crate::service::Clock;
use crate::service::SystemClock;

const BUNDLED: &str = "examples/movielens";
const RATINGS: &str = "ratings.csv";
/// A user of the data with a clear taste, for the calls to try.
const USER: &str = "318";
const FILMS_SHOWN: u32 = 5;

/// Loads the data unless they are loaded, and prints calls to try.
///
/// # Errors
/// When the data are missing or the service refuses them.
pub async fn run(
    server: SocketAddr,
    data: Option<&Path>,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let channel = Endpoint::from_shared(format!("http://{server}"))?.connect().await?;
    let mut models = ModelServiceClient::new(channel.clone());
    let status = models.get_model_status(proto::GetModelStatusRequest::default()).await?;
    let status = status.into_inner();
    let data = find(data)?;
    // A load that was cut short goes on: what was acknowledged is recognised.
    if status.interactions < count_ratings(&data)? {
        eprintln!("Loading the MovieLens demo data from {}", data.display());
        // As if the last rating had just been given: else the first live event would
        // make eight years of decay of everything before it.
        let ends_at = Some(SystemClock.now());
        let options = import::Options { ends_at, ..import::Options::default() };
        let loading = import::stream_movielens(channel.clone(), "", &data, &options, stop.clone());
        let summary = loading.await?;
        eprintln!("{summary}");
        train(&mut models).await?;
    } else if status.model_version == 0 {
        train(&mut models).await?;
    }
    print_tour(server, channel).await
}

/// The directory of the data: as named, here, or where this binary was built.
fn find(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let positions = match named {
        Some(named) => vec![named.to_owned()],
        None => vec![PathBuf::from(BUNDLED), Path::new(env!("CARGO_MANIFEST_DIR")).join(BUNDLED)],
    };
    let found = positions.iter().find(|position| position.join(RATINGS).is_file());
    found.cloned().ok_or_else(|| {
        format!(
            "the demo data are not at {}: run from a clone of the repository, or name their \
             directory with --demo-data",
            positions[0].display()
        )
        .into()
    })
}

/// Rows of the ratings below the header.
fn count_ratings(data: &Path) -> Result<u64, std::io::Error> {
    let ratings = std::fs::read(data.join(RATINGS))?;
    let lines = ratings.iter().filter(|&&byte| byte == b'\n').count();
    Ok(lines.saturating_sub(1) as u64)
}

async fn train(models: &mut ModelServiceClient<Channel>) -> Result<(), Failure> {
    let bar = ProgressBar::new(100).with_style(
        ProgressStyle::with_template("Training {bar:40} {percent:>3} % {msg}")
            .expect("the template is well-formed"),
    );
    let told = |training: &proto::Training| {
        bar.set_position((training.progress * 100.0) as u64);
        if training.epochs > 0 {
            bar.set_message(format!("epoch {} of {}", training.epoch, training.epochs));
        }
    };
    // The schedule may be faster: it trains on a part of the data already.
    let training = training::train(models, "", told).await?;
    match training.state() {
        proto::TrainingState::Succeeded => {
            bar.finish_with_message(format!("model version {}", training.model_version));
        }
        proto::TrainingState::Failed => return Err(training.failure_text.into()),
        _ => {}
    }
    Ok(())
}

async fn print_tour(server: SocketAddr, channel: Channel) -> Result<(), Failure> {
    let mut client = PersonalizationServiceClient::new(channel);
    let request = proto::PersonalizeRequest {
        user_id: USER.to_owned(),
        max_results: FILMS_SHOWN,
        ..Default::default()
    };
    let answer = client.personalize(request).await?.into_inner();
    let profile = proto::GetProfileRequest { user_id: USER.to_owned(), ..Default::default() };
    let profile = match client.get_profile(profile).await {
        Ok(answer) => answer.into_inner().profile.unwrap_or_default(),
        // Erased since the data were imported: the tour goes on with a newcomer.
        Err(status) if status.code() == Code::NotFound => proto::Profile::default(),
        Err(status) => return Err(status.into()),
    };
    let liked: Vec<&str> = profile
        .topics
        .iter()
        .filter(|topic| topic.weight > 0.0)
        .take(3)
        .map(|topic| topic.name.as_str())
        .collect();

    let liked = if liked.is_empty() { "nothing yet".to_owned() } else { liked.join(", ") };
    println!("\nUser {USER} likes {liked}. Personalize says:");
    for item in &answer.recommendations {
        println!("  {}. {} (id {})", item.position + 1, item.title, item.item_id);
    }
    let film = answer.recommendations.first();
    let (film, title) = film.map_or(("1", "Toy Story (1995)"), |item| (&item.item_id, &item.title));
    println!(
        r#"
Try, in another terminal:

  grpcurl -plaintext {server} list

  # films for user {USER}, with reasons
  grpcurl -plaintext -d '{{"user_id":"{USER}","explain":true,"max_results":5}}' \
    {server} personalization.v1.PersonalizationService/Personalize

  # a new user: popular films first
  grpcurl -plaintext -d '{{"user_id":"me","max_results":5}}' \
    {server} personalization.v1.PersonalizationService/Personalize

  # they like "{title}"; then ask the line above again
  grpcurl -plaintext -d '{{"interactions":[{{"user_id":"me","item_id":"{film}","type":"INTERACTION_TYPE_LIKE"}}]}}' \
    {server} personalization.v1.PersonalizationService/BatchRecordInteractions

  # what has been learnt about them
  grpcurl -plaintext -d '{{"user_id":"me"}}' {server} personalization.v1.PersonalizationService/GetProfile

Ctrl-C stops the service; what was acknowledged stays in the store."#
    );
    Ok(())
}
