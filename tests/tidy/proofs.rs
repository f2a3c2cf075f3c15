//! The rules bite: small sources, and what is found in them.

use super::Finding;
use super::Source;
use super::Tree;
use super::circles;
use super::imports;
use super::impure_crates;
use super::inexact_functions;
use super::report;
use super::sizes;
use super::wording;

type Rule = fn(&Tree, &Source) -> Vec<Finding>;

/// Rule, path, source, and what is found first: `line: message`, or nothing.
#[rustfmt::skip]
const PROOFS: &[(Rule, &str, &str, &str)] = &[
    (imports, "src/config/a.rs", "\nuse crate::api::X;", "2: config must not import personalization::api::X"),
    (imports, "src/config/a.rs", "use {crate::{api::X}};", "1: config must not import personalization::api::X"),
    (imports, "src/config/a.rs", "fn f() { g!(\"\", crate::api::X) }", "1: config must not import personalization::api::X"),
    (imports, "src/config/a.rs", "#[cfg(not(test))] pub use super::super::api as a;", "1: config must not import personalization::api"),
    (imports, "src/config/a.rs", "// use crate::api;\nconst A: &str = \"crate::api::X\";", ""),
    (imports, "src/config/a.rs", "#[cfg(test)]\nmod tests { use crate::api; fn f() { let a = [1; 2]; } }", ""),
    (imports, "src/config/a.rs", "#[cfg(test)]\nuse crate::api;\nuse crate::cli;", "3: config must not import personalization::cli"),
    (imports, "src/config/tests.rs", "use crate::api;", ""),
    (imports, "src/magic.rs", "", "1: is not in the layer table"),
    (imports, "src/api/a.rs", "use crate::storage::{Error, LogAppend};", "1: api must not import personalization::storage::LogAppend"),
    (imports, "src/api/a.rs", "use crate::storage as s; fn f(e: s::LogAppend) {}", "1: api must not import personalization::storage::LogAppend"),
    (imports, "src/api/a.rs", "use crate::storage; fn f(e: storage::Error) { engine::rank(engine::Reason::New) }", ""),
    (imports, "src/api/a.rs", "use engine::bandit::Belief;", "1: api must not import engine::bandit::Belief"),
    (imports, "src/service/a.rs", "use crate::storage::open_it;", "1: service must not use storage::sqlite"),
    (imports, "src/service/a.rs", "#[tonic_health::x] impl A for B {}", "1: service must not use tonic"),
    (imports, "src/service/a.rs", "use candle_core::Tensor;", "1: service must not use candle"),
    (imports, "src/service/embedder/a.rs", "use candle_core::Tensor;", ""),
    (imports, "crates/engine/src/a.rs", "use std::time; fn f() { time::SystemTime::now() }", "1: engine must not use std::time::SystemTime"),
    (imports, "crates/engine/src/a.rs", "use std::{fmt, fs};", "1: engine must not use std::fs"),
    (imports, "crates/engine/src/a.rs", "use std::collections::*;", "1: engine must not use std::collections::HashMap"),
    (imports, "crates/engine/src/numeric/a.rs", "use crate::View;", "1: engine::numeric must not import engine::View"),
    (|tree, _| circles(tree), "src/storage/log.rs", "use super::open_it;", "1: a circle of log, sqlite."),
    (|tree, _| circles(tree), "src/storage/log.rs", "use super::batch;", ""),
    (inexact_functions, "crates/engine/src/a.rs", "fn f(x: f64) { (-x).exp() }", "1: use engine::numeric::math"),
    (inexact_functions, "crates/engine/src/a.rs", "fn f() { a.map(f32::ln) }", "1: use engine::numeric::math"),
    (inexact_functions, "crates/engine/src/a.rs", "fn f(x: f64) { math::exp(x).sqrt() }", ""),
    (inexact_functions, "crates/statistics/src/a.rs", "fn f(x: f64) { x.ln() }", "1: use statistics::special::math"),
    (imports, "crates/statistics/src/a.rs", "use engine::View;", "1: statistics must not import engine::View"),
    (imports, "crates/privacy/src/a.rs", "use engine::View;", "1: privacy must not import engine::View"),
    (inexact_functions, "crates/privacy/src/a.rs", "fn f(x: f64) { x.ln() }", "1: use statistics::special::math"),
    (impure_crates, "crates/statistics/Cargo.toml", "tokio = \"1\"", "1: must not name tokio"),
    (impure_crates, "crates/engine/Cargo.toml", "# tokio\nx = { package = \"tokio\" }", "2: must not name tokio"),
    (wording, "src/api/a.rs", "use std::fmt;", "1: start with a `//!` header"),
    (wording, "src/api/utils.rs", "//! A", "1: name the file after what is in it"),
    (wording, "src/api/a.rs", "//! A\n// TODO: more", "2: do it now"),
    (wording, "src/api/a.rs", "//! A\n    // let a = 1;", "2: remove the code"),
    (wording, "src/api/a.rs", "//! A\n// First one; then another;\n// let it be (so).", ""),
    (wording, "src/api/a.rs", "//! A\nfn f() { a.unwrap() }", "2: no unwrap"),
    (wording, "src/api/a.rs", "//! A\nfn f() { a.unwrap_or(b) } // never .unwrap()", ""),
    (wording, "scripts/a", "a\nb ", "2: remove the blanks"),
    (wording, "scripts/a", "cd \"/home/me\"", "1: name no path"),
    (wording, "scripts/a", "frame/work/a, $dir/tmp/b, ${dir}/tmp/c", ""),
];

#[test]
fn each_rule_bites() {
    for (rule, path, text, expected) in PROOFS {
        let tree = Tree::new(vec![
            Source::new("src/storage/mod.rs", "pub use sqlite::open as open_it;"),
            Source::new("src/storage/sqlite/mod.rs", "pub use open::open;"),
            Source::new(
                "src/storage/sqlite/open.rs",
                "use crate::storage::log::Log; pub fn open() {}",
            ),
            Source::new(path, text),
        ]);
        let found = rule(&tree, &tree.sources[3]);
        let first =
            found.first().map_or(String::new(), |(_, line, what)| format!("{line}: {what}"));
        assert!(
            first.starts_with(expected) && first.is_empty() == expected.is_empty(),
            "{text}: {first}"
        );
    }
}

#[test]
fn long_files_and_functions_and_needless_exceptions_are_found() {
    let source = |text: &str| Source::new("src/api/a.rs", text);
    let found = |text: &str| sizes(&Tree::new(Vec::new()), &source(text)).pop().map(|it| it.2);
    let long = "fn short() {}\nfn long(a: [u8; 4])\n{".to_owned() + &"\n".repeat(70) + "}\n";
    assert_eq!(found(&long).as_deref(), Some("long has 72 lines: split above 70"));
    assert_eq!(
        found(&"\n".repeat(501)).as_deref(),
        Some("the file has 501 lines: split above 500")
    );
    assert_eq!(found(&"\n".repeat(500)), None);
    let finding = ("a.rs".to_owned(), 1, "long".to_owned());
    report(vec![finding.clone()], &[("a.rs", "long", "a reason")]);
    for (findings, exceptions) in [(vec![finding], &[][..]), (vec![], &[("a.rs", "long", "")])] {
        assert!(std::panic::catch_unwind(|| report(findings, exceptions)).is_err());
    }
}
