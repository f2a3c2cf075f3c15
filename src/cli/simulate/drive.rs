//! The rounds: items appear, people come, get lists of the server and click.

use indicatif::ProgressBar;
use indicatif::ProgressStyle;

use engine::domain::Timestamp;
use engine::evaluation::simulation::Audience;
use engine::evaluation::simulation::Item;
use engine::evaluation::simulation::Response;
use engine::evaluation::simulation::Tally;
use engine::evaluation::simulation::Visit;
use engine::evaluation::simulation::World;

use crate::cli::Failure;
use crate::cli::messages::timestamp;
use crate::cli::simulate::Args;
use crate::cli::simulate::args::Impressions;
use crate::cli::simulate::clock::Clock;
use crate::cli::simulate::site::List;
use crate::cli::simulate::site::Site;
use crate::proto;
use crate::proto::InteractionType;
use crate::service::Clock as _;
use crate::service::SystemClock;

/// All rounds of a world on a server.
///
/// # Errors
/// What the server says.
pub async fn drive(args: &Args, world: &World, site: &mut Site) -> Result<Tally, Failure> {
    let clock = Clock::ending(SystemClock.now(), &world.settings);
    let mut audience = Audience::new(world);
    let bar = ProgressBar::new(args.rounds.into()).with_style(
        ProgressStyle::with_template("{bar:40} round {pos} of {len}, {elapsed}")
            .expect("the template is well-formed"),
    );
    for round in 0..args.rounds {
        let appearing = &world.items()[world.appearing(round)];
        site.publish(appearing.iter().map(|it| item(&clock, it)).collect()).await?;
        for visits in world.visits(round).chunks(args.concurrency) {
            let requests = visits.iter().map(|visit| request(world, &clock, visit)).collect();
            let lists = site.lists(requests).await?;
            let mut events = Vec::new();
            for (visit, list) in visits.iter().zip(&lists) {
                let responses = audience.show(visit, &list.items);
                let at = clock.visit(visit);
                events.extend(events_of(args.impressions, world, visit, at, list, &responses));
            }
            site.record(events).await?;
        }
        if args.train_every > 0 && (round + 1) % args.train_every == 0 && round + 1 < args.rounds {
            site.train().await?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(audience.tally)
}

fn item(clock: &Clock, item: &Item) -> proto::Item {
    proto::Item {
        item_id: item.id.clone(),
        title: item.title.clone(),
        content: item.content.clone(),
        topics: vec![item.topic()],
        source: item.source.clone(),
        published_at: Some(timestamp(clock.published(item))),
        expires_at: clock.expires(item).map(timestamp),
        language: "en".to_owned(),
        ..Default::default()
    }
}

fn request(world: &World, clock: &Clock, visit: &Visit) -> proto::PersonalizeRequest {
    proto::PersonalizeRequest {
        user_id: world.person_id(visit.person),
        max_results: world.settings.positions as u32,
        context: Some(proto::RequestContext {
            timestamp: Some(timestamp(clock.visit(visit))),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// What the site reports of one list: impressions, clicks, purchases.
fn events_of(
    impressions: Impressions,
    world: &World,
    visit: &Visit,
    at: Timestamp,
    list: &List,
    responses: &[Response],
) -> Vec<proto::Interaction> {
    let event = |kind: InteractionType, position: usize| proto::Interaction {
        event_id: format!("{}-{position}-{}", visit.number, kind.as_str_name()),
        user_id: world.person_id(visit.person),
        item_id: world.items()[list.items[position]].id.clone(),
        r#type: kind.into(),
        occurred_at: Some(timestamp(at)),
        session_id: format!("visit-{}", visit.number),
        decision_id: list.decision_id.clone(),
        position: Some(position as u32),
        ..Default::default()
    };
    let mut events = Vec::new();
    for (position, response) in responses.iter().enumerate() {
        let is_reported = match impressions {
            Impressions::None => false,
            Impressions::Seen => response.is_seen,
            Impressions::Shown => true,
        };
        let kinds = [
            (is_reported, InteractionType::Impression),
            (response.is_clicked, InteractionType::Click),
            (response.is_bought, InteractionType::Purchase),
        ];
        let kinds = kinds.into_iter().filter(|(is_it, _)| *is_it);
        events.extend(kinds.map(|(_, kind)| event(kind, position)));
    }
    events
}
