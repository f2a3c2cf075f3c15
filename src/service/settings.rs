//! The settings of a namespace: its own over the server's.
//!
//! - The log has the truth. A namespace begins with the settings that it was created with; from
//!   its first record about settings on, that one and its successors say which are its own.

use crate::storage::Partition;
use engine::View;
use engine::domain::Settings;
use engine::domain::SettingsChange;

/// Names these settings of this life of the namespace.
pub fn settings_etag(partition: &Partition, settings: &Settings) -> String {
    let json = serde_json::to_vec(settings).expect("settings have text keys only");
    let hash = xxhash_rust::xxh3::xxh3_128_with_seed(&json, partition.incarnation);
    format!("{hash:032x}")
}

/// `settings` with those of the names as in `other`.
pub fn settings_with<'a>(
    settings: &Settings,
    names: impl IntoIterator<Item = &'a str>,
    other: &Settings,
) -> Settings {
    let value = |settings| serde_json::to_value(settings).expect("settings have text keys only");
    let (mut changed, other) = (value(settings), value(other));
    for name in names {
        let pointer = setting_pointer(name);
        if let (Some(into), Some(from)) = (changed.pointer_mut(&pointer), other.pointer(&pointer)) {
            from.clone_into(into);
        }
    }
    serde_json::from_value(changed).expect("each value is one of the same setting")
}

/// Where the setting of a name is in the JSON of [`Settings`].
pub fn setting_pointer(name: &str) -> String {
    match name {
        "topic_freshness_half_lives" => "/freshness_half_lives/topics".to_owned(),
        "source_freshness_half_lives" => "/freshness_half_lives/sources".to_owned(),
        name => format!("/{}", name.replace('.', "/")),
    }
}

/// A namespace's own settings, and the server's for the rest.
pub fn over(own: &Settings, server: &Settings) -> Settings {
    let settings = settings_with(server, own.own.iter().map(AsRef::as_ref), own);
    Settings { own: own.own.clone(), ..settings }
}

/// What a namespace that is being opened has to record, if anything: where it follows the
/// server, it follows it as it is configured now.
pub fn due(
    view: &View,
    created_with: Option<&Settings>,
    server: &Settings,
) -> Option<SettingsChange> {
    let replaces = view.settings_at();
    let own = if replaces == 0 { created_with.unwrap_or(server) } else { view.settings() };
    let settings = over(own, server);
    (replaces == 0 || settings != *view.settings()).then_some(SettingsChange { settings, replaces })
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Engine;
    use engine::domain::LogRecord;
    use engine::domain::NamespaceName;
    use engine::domain::Record;
    use engine::domain::Strategy;
    use engine::domain::Timestamp;

    fn own(epsilon: f32, alpha: f32) -> Settings {
        let mut settings = Settings { epsilon, ..Settings::default() };
        settings.arms.alpha = alpha;
        settings.own = ["epsilon", "arms.alpha"].map(Box::from).into();
        settings
    }

    #[test]
    fn what_a_namespace_has_not_set_follows_the_server() {
        let mut server =
            Settings { strategy: Strategy::Thompson, epsilon: 0.9, ..Settings::default() };
        (server.arms.alpha, server.arms.beta) = (5.0, 6.0);
        let settings = over(&own(0.25, 2.0), &server);
        assert_eq!((settings.epsilon, settings.strategy), (0.25, Strategy::Thompson));
        assert_eq!((settings.arms.alpha, settings.arms.beta), (2.0, 6.0));
        assert_eq!(settings.own, own(0.0, 1.0).own);
        assert_eq!(over(&Settings::default(), &server), server);
    }

    #[test]
    fn the_log_says_what_is_a_namespaces_own_once_it_says_anything() {
        let (server, created) = (Settings::default(), own(0.25, 2.0));
        let mut engine = Engine::new(Settings::default());
        let first = due(engine.state(), Some(&created), &server).unwrap();
        assert_eq!((first.replaces, first.settings.epsilon), (0, 0.25));
        let mut sequence = 0;
        let mut record = |change| {
            sequence += 1;
            let record = Record::SettingsSet(change);
            LogRecord { sequence, recorded_at: Timestamp::default(), record }
        };
        let second = SettingsChange { settings: own(0.5, 2.0), replaces: 1 };
        engine.apply(&[record(first), record(second.clone()), record(second)]).unwrap();
        let view = engine.state();
        assert_eq!((view.settings().epsilon, view.settings_at()), (0.5, 2));
        assert!(view.has_set_settings(2) && !view.has_set_settings(3));
        assert_eq!(due(view, Some(&created), &server), None);
        let other = Settings { strategy: Strategy::Thompson, ..server };
        let change = due(view, Some(&created), &other).unwrap();
        assert_eq!((change.replaces, change.settings.epsilon), (2, 0.5));
        assert_eq!(change.settings.strategy, Strategy::Thompson);
    }

    #[test]
    fn an_etag_names_the_settings_of_one_life_of_a_namespace() {
        let of = |incarnation, settings: &Settings| {
            settings_etag(&Partition { namespace: NamespaceName::default(), incarnation }, settings)
        };
        assert_eq!(of(1, &own(0.5, 1.0)), of(1, &own(0.5, 1.0)));
        assert_ne!(of(1, &own(0.5, 1.0)), of(2, &own(0.5, 1.0)));
        assert_ne!(of(1, &own(0.5, 1.0)), of(1, &own(0.25, 1.0)));
        let not_own = Settings { own: Default::default(), ..own(0.5, 1.0) };
        assert_ne!(of(1, &own(0.5, 1.0)), of(1, &not_own));
    }
}
