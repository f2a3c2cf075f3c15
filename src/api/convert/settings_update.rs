//! UpdateNamespace: which settings a request changes, and to what.

use std::collections::BTreeSet;

use prost_types::FieldMask;

use super::mask::named;
use super::settings::settings;
use super::settings_fields::names_of;
use super::settings_fields::only;
use super::settings_fields::set_names;
use crate::proto;
use crate::service;
use engine::domain::Settings;
use engine::domain::Violation;

/// A change of settings, to be made from those in force.
#[derive(Debug)]
pub struct SettingsUpdate {
    /// The settings that it is about, by name.
    names: BTreeSet<String>,
    /// Their values, where they have one.
    message: proto::NamespaceSettings,
}

/// The settings that a mask is about: all that are set when it has no paths.
///
/// # Errors
/// Each path that names no setting.
pub fn settings_update(
    message: Option<proto::NamespaceSettings>,
    mask: Option<FieldMask>,
) -> Result<SettingsUpdate, Vec<Violation>> {
    let (message, mask) = (message.unwrap_or_default(), mask.unwrap_or_default());
    let named = named(&mask, "setting", names_of)?;
    let mut names: BTreeSet<String> = named.into_iter().flatten().collect();
    if mask.paths.is_empty() {
        names = set_names(&message);
    }
    let message = only(&message, |name| names.contains(name));
    Ok(SettingsUpdate { names, message })
}

impl SettingsUpdate {
    /// The settings after the change. What the update is about and the message leaves unset is as in
    /// the server's configuration again.
    ///
    /// # Errors
    /// Every setting out of range, under `settings`.
    pub fn of(&self, in_force: &Settings, server: &Settings) -> Result<Settings, Vec<Violation>> {
        let names = self.names.iter().map(String::as_str);
        let mut base = service::settings_with(in_force, names, server);
        base.own.retain(|name| !self.names.contains(&**name));
        settings(Some(self.message.clone()), &base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::domain::Strategy;
    use engine::domain::limits;

    use proto::InteractionType as Kind;

    type Message = proto::NamespaceSettings;

    fn confidence(kind: Kind, confidence: f64) -> proto::TypeConfidence {
        proto::TypeConfidence { r#type: kind.into(), confidence }
    }

    fn update(message: Message, paths: &[&str]) -> Result<SettingsUpdate, Vec<Violation>> {
        let paths = paths.iter().map(|&path| path.to_owned()).collect();
        settings_update(Some(message), Some(FieldMask { paths }))
    }

    fn own(settings: &Settings) -> Vec<&str> {
        settings.own.iter().map(AsRef::as_ref).collect()
    }

    /// A namespace that has set four things, on a server that has set two.
    fn lived() -> (Settings, Settings) {
        let server = Settings { epsilon: 0.4, new_item_days: 3.0, ..Settings::default() };
        let arms = proto::ArmSettings { alpha: Some(2.0), beta: Some(3.0), ..Default::default() };
        let message = Message {
            epsilon: Some(0.25),
            confidences: vec![confidence(Kind::Click, 0.5), confidence(Kind::Save, 3.0)],
            arms: Some(arms),
            ..Message::default()
        };
        let in_force = settings(Some(message), &server).unwrap();
        assert_eq!(own(&in_force), ["arms.alpha", "arms.beta", "confidences", "epsilon"]);
        (in_force, server)
    }

    #[test]
    fn without_a_mask_what_is_set_changes_and_the_rest_stays() {
        let (in_force, server) = lived();
        let arms = proto::ArmSettings { beta: Some(9.0), ..Default::default() };
        let message = Message {
            strategy: Some(3),
            arms: Some(arms),
            diversity_method: Some(0),
            ..Message::default()
        };
        let changed = settings_update(Some(message), None).unwrap().of(&in_force, &server).unwrap();
        assert_eq!((changed.strategy, changed.epsilon), (Strategy::Thompson, 0.25));
        assert_eq!((changed.arms.alpha, changed.arms.beta), (2.0, 9.0));
        assert_eq!(
            own(&changed),
            ["arms.alpha", "arms.beta", "confidences", "epsilon", "strategy"]
        );
        let nothing = settings_update(None, None).unwrap().of(&in_force, &server).unwrap();
        assert_eq!(nothing, in_force);
    }

    #[test]
    fn what_a_mask_names_and_the_message_lacks_follows_the_server_again() {
        let (in_force, server) = lived();
        let message =
            Message { new_item_share: Some(0.5), novelty_weight: Some(9.0), ..Message::default() };
        let changed = update(message, &["epsilon", "new_item_share", "arms"]).unwrap();
        let changed = changed.of(&in_force, &server).unwrap();
        assert_eq!((changed.epsilon, changed.new_item_share), (0.4, 0.5));
        assert_eq!((changed.arms, changed.novelty_weight), (server.arms, 0.0));
        assert_eq!(own(&changed), ["confidences", "new_item_share"]);
        let everything = update(Message::default(), &["*"]).unwrap().of(&in_force, &server);
        assert_eq!(everything, Ok(server));
    }

    #[test]
    fn a_map_is_replaced_as_a_whole() {
        let (in_force, server) = lived();
        let confidences = vec![confidence(Kind::Click, 0.75)];
        let message = Message { confidences, ..Message::default() };
        let changed = settings_update(Some(message), None).unwrap().of(&in_force, &server).unwrap();
        let of = |settings: &Settings, kind| settings.confidences.of(kind);
        let [click, save] = ["click", "save"].map(|name| {
            engine::domain::InteractionType::ALL
                .into_iter()
                .find(|kind| kind.name() == name)
                .unwrap()
        });
        assert_eq!((of(&changed, click), of(&changed, save)), (0.75, of(&server, save)));
    }

    #[test]
    fn a_path_that_names_no_setting_is_told() {
        let paths = ["epsilon", "seed", "arms.gamma", "", "epsilon.x", "settings.epsilon", "own"];
        let violations = update(Message::default(), &paths).unwrap_err();
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, [1, 2, 3, 4, 5, 6].map(|n| format!("update_mask.paths[{n}]")));
        assert!(violations[1].reason.contains("arms.gamma"), "{}", violations[1].reason);
        let many = vec!["epsilon"; limits::MASK_PATHS + 1];
        assert_eq!(update(Message::default(), &many).unwrap_err()[0].field, "update_mask");
    }

    #[test]
    fn every_name_is_a_setting_of_the_domain() {
        let (ours, all) = (Settings::default(), names_of("*").unwrap());
        let value = serde_json::to_value(&ours).unwrap();
        for name in &all {
            let pointer = service::setting_pointer(name);
            assert!(value.pointer(&pointer).is_some(), "{name}");
        }
        assert_eq!(all.len(), 47);
    }
}
