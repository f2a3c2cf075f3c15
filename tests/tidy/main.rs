//! Rules about the source that neither rustc, rustfmt nor clippy knows: which module may import which,
//! circles, sizes, headers, names.
//!
//! - A file is read as a tree of tokens, `use` items by `syn`: what stands in macros counts, what stands
//!   in comments and literals does not.
//! - Names are looked up: `storage::open_sqlite` is known as what `storage/mod.rs` exports under it.
//! - Tests (`#[cfg(test)]`, files `tests.rs`, folders `tests`) may import and call what they like.
//! - An exception stands in a list with its reason, and is reported once nothing needs it.

mod proofs;
mod source;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use source::Finding;
use source::PathUse;
use source::Source;
use source::Tree;
use source::full;
use source::split;

/// Bottom-up: a module, what it may import beside itself (earlier ones), and what it must not use.
/// `statistics`, `privacy` and `engine` are crates.
/// `config`: all of it. `engine::*`: what its root exports. `storage::Error`: this item. The name of a
/// crate covers its family (`tonic` and `tonic_health`).
#[rustfmt::skip]
const LAYERS: &[(&str, &[&str], &[&str])] = &[
    ("statistics", &[], PURE),
    ("privacy", &["statistics"], PURE),
    ("engine::domain", &[], PURE),
    ("engine::numeric", &[], PURE),
    ("engine", &["statistics", "engine::domain", "engine::numeric"], PURE),
    ("config", &["engine::domain"], &["tokio", "tonic", "prost", "rusqlite", "tokio_postgres", "fred"]),
    ("telemetry", &["config"], &["tonic", "prost", "rusqlite", "tokio_postgres", "fred"]),
    // Never what learns: a snapshot is a header and opaque sections.
    ("storage", &["engine::domain", "config", "telemetry"], &["tonic", "prost"]),
    // The traits of storage and no backend: `cli/stores.rs` chooses.
    ("service", &["privacy", "engine", "storage::*", "telemetry", "config"],
        &["tonic", "prost", "rusqlite", "tokio_postgres", "deadpool_postgres", "fred",
          "storage::sqlite", "storage::postgres", "storage::redis", "storage::memory"]),
    ("proto", &[], DATABASES),
    ("api", &["statistics", "engine::domain", "engine::*", "service", "proto", "config", "telemetry",
        "storage::AppendOutcome", "storage::Appended", "storage::Error", "storage::NamespaceEntry"],
        DATABASES),
    ("server", &["engine::domain", "api", "service", "proto", "config", "telemetry"], DATABASES),
    ("cli", &["statistics", "engine", "config", "telemetry", "storage", "service", "proto", "api", "server"],
        DATABASES),
];

/// Clients of databases: for `storage` only.
const DATABASES: &[&str] = &["rusqlite", "tokio_postgres", "deadpool_postgres", "fred"];

/// What std has and replay cannot bear: its results differ by run or by machine.
#[rustfmt::skip]
const PURE: &[&str] = &[
    "std::env", "std::fs", "std::net", "std::process", "std::time::Instant", "std::time::SystemTime",
    "std::collections::HashMap", "std::collections::HashSet",
];

/// Crates that a pure crate must not name in its Cargo.toml.
const IMPURE_CRATES: &[&str] =
    &["tokio", "tonic", "prost", "tracing", "rusqlite", "tokio-postgres", "fred"];

/// Functions of f32 and f64 whose results differ between platforms and releases of std.
#[rustfmt::skip]
const INEXACT: &[&str] = &[
    "exp", "exp2", "exp_m1", "ln", "ln_1p", "log", "log2", "log10", "powf", "powi", "cbrt", "hypot",
    "sin", "cos", "tan", "sin_cos", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh",
    "acosh", "atanh",
];

/// Crates for one folder only.
const CONFINED: &[(&str, &str)] =
    &[("candle", "src/service/embedder/"), ("tokenizers", "src/service/embedder/")];

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Names that say nothing about what is inside.
const VAGUE_NAMES: &[&str] = &["common", "helper", "helpers", "misc", "types", "util", "utils"];

/// Words that this project does not use, each with the plain one.
#[rustfmt::skip]
const ODD_WORDS: &[(&str, &[&str])] = &[
    ("again, or rebuild, restart", &["anew"]),
    ("baseline, or control", &["yardstick", "yardsticks"]),
    ("computed", &["reckon", "reckoned", "reckons"]),
    ("discarded, or in doubt", &["doubted"]),
    ("impression", &["showings"]),
    ("next to, or in addition to", &["beside"]),
    ("predicted", &["foretell", "foretells", "foretold"]),
    ("positive, requested, or needed", &["wanted"]),
    ("preface", &["greet", "greeted", "greeting", "greets"]),
    ("rarely", &["seldom"]),
    ("rejection, exclusion, or error", &["refusal", "refusals"]),
    ("repair", &["mend", "mended", "mends"]),
    ("request context", &["occasion", "occasions"]),
    ("shadow mode", &["apprentice", "apprentices"]),
    ("similarity", &["likeness"]),
    ("successor", &["heir", "heirs"]),
    ("user, caller, or client", &["anybody", "everybody", "somebody", "whoever", "whomever"]),
];

/// A finding that may stand: where, how its message begins, why.
type Exception = (&'static str, &'static str, &'static str);

const LONG: &[Exception] = &[(
    "proto/personalization/v1/personalization.proto",
    "the file has",
    "one service in one file; most of it is comments that are the reference of the API",
)];

/// A type, what it is made of and the files with its traits name each other.
#[rustfmt::skip]
const CIRCLES: &[Exception] = &[
    ("personalization::config", "a circle of arms, ranker, rules, serve.", "one command line"),
    ("personalization::service", "a circle of personalize, recording, work_out.", "a call and its record"),
    ("personalization::service", "a circle of namespace, namespaces, owner, trainings.",
        "a handle, its registry and its owner"),
    ("personalization::service::owner", "a circle of duties, ending, serving.", "one task in three files"),
    ("personalization::storage::postgres", "a circle of append, event_hashes, known, leases, log, \
      migrations, projection, purge, store, transaction.", "the store and its traits"),
    ("personalization::storage::postgres", "a circle of options, tls.", "TLS is an option"),
    ("personalization::storage::redis", "a circle of reader, tail.", "the tail and its thread"),
    ("personalization::storage::sqlite", "a circle of append, event_hashes, log, purge, store.",
        "the store and its traits"),
];

#[track_caller]
fn report(findings: Vec<Finding>, exceptions: &[Exception]) {
    let is_of = |finding: &Finding, (path, what, _): &Exception| {
        finding.0 == *path && finding.2.starts_with(what)
    };
    let excepted = |finding: &Finding| exceptions.iter().any(|exception| is_of(finding, exception));
    let needless = |exception: &&Exception| !findings.iter().any(|it| is_of(it, exception));
    let mut texts: Vec<_> = findings.iter().filter(|finding| !excepted(finding)).collect();
    let texts = texts.drain(..).map(|(path, line, what)| format!("{path}:{line}: {what}"));
    let needless = exceptions.iter().filter(needless);
    let needless =
        needless.map(|(path, what, _)| format!("{path}: no exception is needed: {what}"));
    let texts: Vec<_> = texts.chain(needless).collect();
    assert!(texts.is_empty(), "{} findings\n{}", texts.len(), texts.join("\n"));
}

#[test]
fn the_source_keeps_the_rules() {
    let tree = Tree::of_the_project();
    report(tree.each(imports), &[]);
    report(circles(&tree), CIRCLES);
    report(tree.each(inexact_functions), &[]);
    report(tree.each(impure_crates), &[]);
    report(tree.each(sizes), LONG);
    report(tree.each(wording), &[]);
}

#[test]
fn the_layer_table_is_bottom_up_and_names_what_there_is() {
    let tree = Tree::of_the_project();
    for (position, (module, may_import, _)) in LAYERS.iter().enumerate() {
        let exists = tree.sources.iter().any(|it| it.module.starts_with(&full(module)));
        assert!(exists, "there is no {module}");
        for import in *may_import {
            let lower = |(lower, ..): &(&str, _, _)| full(import).starts_with(&full(lower));
            assert!(LAYERS[..position].iter().any(lower), "{import} is not below {module}");
        }
    }
}

fn imports(tree: &Tree, source: &Source) -> Vec<Finding> {
    let layer = LAYERS.iter().find(|(module, ..)| source.module.starts_with(&full(module)));
    let Some((layer, may_import, must_not_use)) = layer else {
        let unknown = source.module.len() > 1;
        return Vec::from_iter(unknown.then(|| source.finding(1, "is not in the layer table")));
    };
    let fault = |path: &PathUse| {
        let written = tree.full(source, path);
        let defined = tree.defined(&written);
        let confined = CONFINED.iter().filter(|(_, folder)| !source.path.starts_with(folder));
        let mut banned = must_not_use.iter().chain(confined.map(|(name, _)| name));
        if let Some(ban) = banned.find(|ban| covers(ban, &written) || covers(ban, &defined)) {
            return Some(format!("{layer} must not use {ban}"));
        }
        let ours =
            ["engine", "personalization", "privacy", "statistics"].contains(&written[0].as_str());
        let free = !ours || written.starts_with(&full(layer));
        let allowed = free || may_import.iter().any(|entry| opens(entry, &written));
        (!allowed).then(|| format!("{layer} must not import {}", written.join("::")))
    };
    let faults = source.paths.iter().filter_map(|path| Some((path.line, fault(path)?)));
    faults.map(|(line, what)| source.finding(line, &what)).collect()
}

/// Whether an entry of the layer table lets a path through.
fn opens(entry: &str, path: &[String]) -> bool {
    let whole = full(entry.trim_end_matches("::*"));
    // An item, or an item of a type; a module below is behind the face.
    let is_module = |name: &str| name.starts_with(|c: char| c.is_ascii_lowercase());
    let hidden = |rest: &[String]| entry.ends_with("::*") && rest.len() > 1 && is_module(&rest[0]);
    // `use crate::storage;` is looked through where it is used.
    whole.starts_with(path) || path.strip_prefix(&whole[..]).is_some_and(|rest| !hidden(rest))
}

/// Whether `ban` is `path` or a start of it; `a::*` may bring in every item of `a`.
fn covers(ban: &str, path: &[String]) -> bool {
    let ban = if ban.starts_with("storage::") { full(ban) } else { split(ban) };
    let shared = path.iter().zip(&ban).take_while(|(part, required)| part == required).count();
    let family = ban.len() == 1 && path[0].starts_with(&format!("{}_", ban[0]));
    family || shared == ban.len() || shared > 0 && path.get(shared).is_some_and(|part| part == "*")
}

fn inexact_functions(_: &Tree, source: &Source) -> Vec<Finding> {
    let what = match source.module.first().map(String::as_str) {
        Some("engine") => {
            "use engine::numeric::math (or a product): std's result differs by platform"
        }
        Some("privacy" | "statistics") => {
            "use statistics::special::math: std's result differs by platform"
        }
        _ => return Vec::new(),
    };
    let is_inexact = |path: &&PathUse| {
        let [of, name] = path.segments.as_slice() else { return false };
        [".", "f32", "f64"].contains(&of.as_str()) && INEXACT.contains(&name.as_str())
    };
    let found = source.paths.iter().filter(is_inexact);
    found.map(|path| source.finding(path.line, what)).collect()
}

fn sizes(_: &Tree, source: &Source) -> Vec<Finding> {
    let functions =
        source.functions.iter().map(|(name, first, last)| (&name[..], *first, last + 1));
    let functions =
        functions.map(|(name, first, end)| (name, first, end - first, FUNCTION_LINES_MAX));
    let is_document = source.path.ends_with(".md");
    let file = ("the file", 1, source.text.lines().count(), FILE_LINES_MAX);
    let file = Some(file).filter(|_| !is_document);
    let long = functions.chain(file).filter(|(_, _, lines, most)| lines > most);
    let what = |name, lines, most| format!("{name} has {lines} lines: split above {most}");
    long.map(|(name, first, lines, most)| source.finding(first, &what(name, lines, most))).collect()
}

/// What every file is checked for; most of it in Rust outside tests only.
fn wording(_: &Tree, source: &Source) -> Vec<Finding> {
    let unwraps = source.paths.iter().filter(|path| path.segments == [".", "unwrap"]);
    let no_unwrap = "no unwrap outside tests: return the error, or expect(\"invariant\")";
    let mut found: Vec<_> = unwraps.map(|path| (path.line, no_unwrap.to_owned())).collect();
    let is_rust = source.path.ends_with(".rs");
    if is_rust && !source.text.starts_with("//!") {
        found.push((1, "start with a `//!` header".to_owned()));
    }
    if source.path.split(['/', '.']).any(|part| VAGUE_NAMES.contains(&part)) {
        found.push((1, "name the file after what is in it".to_owned()));
    }
    for (at, line) in source.text.lines().enumerate() {
        let mut words = line.split(|c: char| !c.is_ascii_alphanumeric());
        let comment = line.trim().strip_prefix("// ").filter(|it| it.ends_with([';', '}']));
        // Only the start of an absolute path: `frame/work/` and `$dir/tmp/` are others.
        let inside = |before: char| before.is_alphanumeric() || "._-}/".contains(before);
        let starts =
            |folder| line.match_indices(folder).any(|(at, _)| !line[..at].ends_with(inside));
        if line.ends_with([' ', '\t']) {
            found.push((at + 1, "remove the blanks at the end of the line".to_owned()));
        }
        if let Some((plain, odd)) = odd_word(line).filter(|_| source.path != file!()) {
            found.push((at + 1, format!("say {plain}, not {odd}")));
        }
        if source.is_test {
            continue;
        }
        if ["/work/", "/home/", "/root/", "/tmp/"].into_iter().any(starts) {
            found.push((at + 1, "name no path of a machine".to_owned()));
        }
        if is_rust && words.any(|word| ["TODO", "FIXME"].contains(&word)) {
            found.push((at + 1, "do it now, or open an issue and link it".to_owned()));
        }
        if is_rust && comment.is_some_and(|comment| syn::parse_str::<syn::Stmt>(comment).is_ok()) {
            found.push((at + 1, "remove the code in the comment".to_owned()));
        }
    }
    found.into_iter().map(|(line, what)| source.finding(line, &what)).collect()
}

/// The plain word and the odd one, as it is written: words in names count, too.
fn odd_word(line: &str) -> Option<(&'static str, &str)> {
    let mut words = line.split(|c: char| !c.is_ascii_alphanumeric());
    words.find_map(|word| {
        let is_it = |odd: &&str| odd.eq_ignore_ascii_case(word);
        let (plain, _) = ODD_WORDS.iter().find(|(_, odd)| odd.iter().any(is_it))?;
        Some((*plain, word))
    })
}

/// What the manifest of a pure crate names, under whatever name.
fn impure_crates(_: &Tree, source: &Source) -> Vec<Finding> {
    let is_pure =
        ["crates/engine/Cargo.toml", "crates/privacy/Cargo.toml", "crates/statistics/Cargo.toml"];
    let lines = source.text.lines().enumerate().filter(|_| is_pure.contains(&source.path.as_str()));
    let impure = lines.filter_map(|(at, line)| {
        let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
        let name = words.find(|word| IMPURE_CRATES.contains(word))?;
        (!line.starts_with('#')).then(|| source.finding(at + 1, &format!("must not name {name}")))
    });
    impure.collect()
}

/// Files and folders side by side that need each other. A folder and what is in it may.
fn circles(tree: &Tree) -> Vec<Finding> {
    let mut folders = BTreeMap::<&[String], BTreeMap<&str, BTreeSet<String>>>::new();
    for (source, path) in
        tree.sources.iter().flat_map(|it| it.paths.iter().map(move |path| (it, path)))
    {
        let mut target = tree.defined(&tree.full(source, path));
        target.truncate(tree.module_length(&target));
        let shared = source.module.iter().zip(&target).take_while(|(a, b)| a == b).count();
        if let (1.., Some(from), Some(to)) = (shared, source.module.get(shared), target.get(shared))
        {
            let needs = folders.entry(&source.module[..shared]).or_default();
            needs.entry(from).or_default().insert(to.clone());
        }
    }
    let mut found = BTreeSet::new();
    for (folder, needs) in &folders {
        let reached = |from: &str| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
            while let Some(at) = open.pop() {
                let next = needs.get(at.as_str()).into_iter().flatten();
                open.extend(next.filter(|one| seen.insert((*one).clone())).cloned());
            }
            seen
        };
        for from in needs.keys() {
            let mutual: Vec<_> =
                reached(from).into_iter().filter(|to| reached(to).contains(*from)).collect();
            if mutual.len() > 1 {
                found.insert((folder.join("::"), 1, format!("a circle of {}.", mutual.join(", "))));
            }
        }
    }
    found.into_iter().collect()
}
