//! The list of all parts of the state. Storing, hashing and restoring use this one list, so they
//! always agree.

use crate::columns::part::Part;
use crate::state::view::View;

/// Names and parts of a view, borrowed as the view is. Every field is named, so a new field does
/// not compile until it is listed: in the head, as derived, or as a part.
macro_rules! parts_of {
    ($view:expr, $part:ty, $parts:ident) => {{
        let View {
            // In the head.
            settings: _,
            settings_records: _,
            watermark: _,
            began: _,
            clock: _,
            event_times: _,
            decays: _,
            counts: _,
            sweep: _,
            model: _,
            unsolved: _,
            hybrid: _,
            ranker: _,
            prequential: _,
            recent_positives: _,
            return_gap: _,
            takeover: _,
            experiments: _,
            // Derived.
            decision_index: _,
            user_decisions: _,
            postings: _,
            inverted: _,
            leaders: _,
            top_lists: _,
            // Parts.
            users,
            items,
            topics,
            sources,
            devices,
            vocabulary,
            contexts,
            aging,
            cohorts,
            context_values,
            associations,
            item_effects,
            decisions,
            arms,
            units,
        } = $view;
        let mut parts: Vec<(&'static str, $part)> = Vec::new();
        parts.extend(users.$parts());
        parts.extend(items.$parts());
        let labels = [
            (["topics", "topic_uses", "topic_items"], topics),
            (["sources", "source_uses", "source_items"], sources),
            (["devices", "device_uses", "device_items"], devices),
        ];
        for (names, labels) in labels {
            parts.extend(names.into_iter().zip(labels.$parts()));
        }
        parts.extend(vocabulary.$parts());
        parts.extend(contexts.$parts());
        parts.extend(cohorts.$parts());
        parts.extend(context_values.$parts());
        parts.extend(arms.$parts());
        parts.extend(aging.$parts());
        parts.extend(item_effects.$parts());
        parts.extend(associations.$parts());
        let more: Vec<(&'static str, $part)> =
            vec![("decisions", decisions), ("experiment_units", units)];
        parts.extend(more);
        parts
    }};
}

impl View {
    pub(crate) fn parts(&self) -> Vec<(&'static str, &dyn Part)> {
        parts_of!(self, &dyn Part, parts)
    }

    pub(crate) fn parts_mut(&mut self) -> Vec<(&'static str, &mut dyn Part)> {
        parts_of!(self, &mut dyn Part, parts_mut)
    }
}
