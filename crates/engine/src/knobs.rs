use std::collections::BTreeMap;
use std::sync::OnceLock;
static VALUES: OnceLock<BTreeMap<String, f32>> = OnceLock::new();
pub fn knob(name: &str, default: f32) -> f32 {
    let values = VALUES.get_or_init(|| {
        std::env::vars()
            .filter_map(|(k, v)| Some((k.strip_prefix("K_")?.to_owned(), v.parse().ok()?)))
            .collect()
    });
    values.get(name).copied().unwrap_or(default)
}
