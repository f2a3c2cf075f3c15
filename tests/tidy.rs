//! Rules about the source that neither rustc, rustfmt nor clippy knows: which module may import which,
//! sizes, headers, names.
//!
//! - Reads text, not syntax trees: comments and literals are blanked, then tokens are compared.
//! - Imports, `unwrap` and std's transcendental functions are free in tests: `#[cfg(test)]` items, files
//!   called `tests.rs`, folders called `tests`.
//! - An exception stands in a list below with its reason, and is reported once nothing needs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// One module of `src`, what it may import and what it must not use.
struct Layer {
    name: &'static str,
    /// `storage`: all of it. `engine::*`: what its `mod.rs` exports. `storage::Appended`: this item.
    may_import: &'static [&'static str],
    /// Paths; the name of a crate covers its family (`tonic` and `tonic_health`).
    must_not_use: &'static [&'static str],
}

/// Bottom-up: an entry names earlier ones only, so there is no cycle.
const LAYERS: &[Layer] = &[
    Layer { name: "domain", may_import: &[], must_not_use: PURE },
    Layer { name: "numeric", may_import: &[], must_not_use: PURE },
    Layer { name: "engine", may_import: &["domain", "numeric"], must_not_use: PURE },
    Layer { name: "evaluation", may_import: &["domain", "numeric", "engine"], must_not_use: PURE },
    Layer {
        name: "config",
        may_import: &["domain"],
        must_not_use: &["tokio", "tonic", "prost", "rusqlite", "tokio_postgres", "fred"],
    },
    Layer {
        name: "telemetry",
        may_import: &["config"],
        must_not_use: &["tonic", "prost", "rusqlite", "tokio_postgres", "fred"],
    },
    // Never the engine: a snapshot is a header and opaque sections.
    Layer {
        name: "storage",
        may_import: &["domain", "config", "telemetry"],
        must_not_use: &["tonic", "prost"],
    },
    Layer {
        name: "service",
        // Evaluation: what other policies would have earned, over gRPC.
        may_import: &[
            "domain",
            "numeric",
            "engine",
            "evaluation",
            "storage::*",
            "telemetry",
            "config",
        ],
        must_not_use: &[
            "tonic",
            "prost",
            "rusqlite",
            "tokio_postgres",
            "deadpool_postgres",
            "fred",
            "crate::storage::open_sqlite",
            "crate::storage::SqliteOptions",
            "crate::storage::SqliteStore",
            "crate::storage::open_postgres",
            "crate::storage::open_postgres_reading",
            "crate::storage::migrate_postgres",
            "crate::storage::PostgresOptions",
            "crate::storage::PostgresStore",
            "crate::storage::connect_redis",
            "crate::storage::Redis",
            "crate::storage::RedisOptions",
            "crate::storage::MemoryCache",
            "crate::storage::MemoryLeases",
            "crate::storage::MemoryRates",
        ],
    },
    Layer { name: "proto", may_import: &[], must_not_use: DATABASES },
    Layer {
        name: "api",
        may_import: &[
            "domain",
            "engine::*",
            "service",
            "storage::AppendOutcome",
            "storage::Appended",
            "storage::Error",
            "storage::NamespaceEntry",
            "proto",
            "config",
            "telemetry",
        ],
        must_not_use: DATABASES,
    },
    Layer {
        name: "server",
        may_import: &["api", "service", "config", "telemetry", "domain", "proto"],
        must_not_use: DATABASES,
    },
    Layer {
        name: "cli",
        may_import: &[
            "domain",
            "numeric",
            "engine",
            "evaluation",
            "config",
            "telemetry",
            "storage",
            "service",
            "proto",
            "api",
            "server",
        ],
        must_not_use: DATABASES,
    },
];

/// Clients of databases: for `storage` only.
const DATABASES: &[&str] = &["rusqlite", "tokio_postgres", "deadpool_postgres", "fred"];

/// What a pure module must not use: replay gives the same bits on every machine.
const PURE: &[&str] = &[
    "tokio",
    "tonic",
    "prost",
    "tracing",
    "rusqlite",
    "tokio_postgres",
    "deadpool_postgres",
    "fred",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::collections::HashMap",
    "std::collections::HashSet",
];

/// Functions of f32 and f64 whose results differ between platforms and releases of std.
const INEXACT: &[&str] = &[
    "exp", "exp2", "exp_m1", "ln", "ln_1p", "log", "log2", "log10", "powf", "powi", "cbrt",
    "hypot", "sin", "cos", "tan", "sin_cos", "asin", "acos", "atan", "atan2", "sinh", "cosh",
    "tanh", "asinh", "acosh", "atanh",
];

/// Crates for one folder only: the crate, where it may be used.
const CONFINED: &[(&str, &str)] =
    &[("candle", "src/service/embedder/"), ("tokenizers", "src/service/embedder/")];

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Files over the limit: path, reason.
const LONG_FILES: &[(&str, &str)] =
    &[("tests/tidy.rs", "the rules and the proofs that they bite, without a dependency")];

/// Functions over the limit: path and name, reason.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];

/// Names that say nothing about what is inside.
const VAGUE_NAMES: &[&str] = &["common", "helper", "helpers", "misc", "types", "util", "utils"];

// ---------------------------------------------------------------- the tree

#[test]
fn modules_import_only_lower_ones() {
    report(rust_sources().iter().flat_map(imports));
}

#[test]
fn the_layer_table_is_bottom_up_and_names_every_module() {
    let lib = Source::new("src/lib.rs", &read("src/lib.rs"));
    let mut declared: Vec<_> = lib
        .tokens()
        .windows(2)
        .filter(|pair| pair[0].text == "mod")
        .map(|pair| pair[1].text.to_owned())
        .collect();
    let mut known: Vec<_> = LAYERS.iter().map(|layer| layer.name.to_owned()).collect();
    declared.sort();
    known.sort();
    assert_eq!(declared, known, "src/lib.rs against the layer table");
    for (place, layer) in LAYERS.iter().enumerate() {
        for import in layer.may_import {
            let target = import.split("::").next().unwrap_or_default();
            let lower = LAYERS[..place].iter().any(|lower| lower.name == target);
            assert!(lower, "{} may not import {import}: it is not lower", layer.name);
        }
    }
}

#[test]
fn confined_crates_stay_where_they_belong() {
    report(rust_sources().iter().flat_map(strayed));
}

#[test]
fn pure_modules_take_elementary_functions_from_numeric() {
    report(rust_sources().iter().flat_map(inexact_functions));
}

#[test]
fn every_file_has_a_header_and_a_telling_name() {
    report(rust_sources().iter().flat_map(header_and_name));
}

#[test]
fn files_and_functions_stay_short() {
    let sources = rust_sources();
    report(sources.iter().flat_map(|source| long_files(source, LONG_FILES)));
    report(sources.iter().flat_map(|source| long_functions(source, LONG_FUNCTIONS)));
    for (listed, _) in LONG_FILES {
        let needed = sources
            .iter()
            .any(|source| source.path == *listed && !long_files(source, &[]).is_empty());
        assert!(needed, "{listed} need not be in LONG_FILES any more");
    }
    for (listed, _) in LONG_FUNCTIONS {
        let long: Vec<_> = sources.iter().flat_map(|source| long_functions(source, &[])).collect();
        let needed = long.iter().any(|finding| {
            let (path, name) = listed.rsplit_once(' ').unwrap_or_default();
            finding.starts_with(path) && finding.contains(&format!(" {name} "))
        });
        assert!(needed, "{listed} need not be in LONG_FUNCTIONS any more");
    }
}

#[test]
fn nothing_is_left_unfinished() {
    report(rust_sources().iter().flat_map(unfinished));
}

#[test]
fn no_text_has_trailing_blanks_or_names_a_machine() {
    report(rust_sources().iter().chain(&other_texts()).flat_map(stray_text));
}

// ---------------------------------------------------------------- the rules

fn imports(source: &Source) -> Vec<String> {
    let Some(module) = source.module() else { return Vec::new() };
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == module) else {
        return match module {
            "lib" | "main" => Vec::new(),
            _ => vec![source.finding(0, &format!("{module} is not in the layer table"))],
        };
    };
    let is_root = [format!("src/{module}.rs"), format!("src/{module}/mod.rs")];
    let is_root = is_root.contains(&source.path);
    let mut findings = Vec::new();
    let mut imported = BTreeMap::new();
    let paths = paths(&source.tokens());
    for path in paths.iter().filter(|path| path.in_use) {
        imported.insert(path.name.as_str(), &path.segments);
    }
    for path in &paths {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        let found = match segments[..] {
            ["super", "super", ..] => Some("write crate:: for super::super::".to_owned()),
            ["super", ..] if is_root => Some("write crate:: for super:: here".to_owned()),
            ["crate", ..] if path.grouped_at_root || segments[1..] == ["*"] => {
                Some("write one `use` for each module of the crate".to_owned())
            }
            _ => fault(layer, &segments, path.in_use),
        };
        // `use crate::storage;` is looked through: `storage::x` is `crate::storage::x`.
        let found = found.or_else(|| match imported.get(segments[0]) {
            Some(import) if !path.in_use && fault_of_import(layer, import).is_none() => {
                let whole: Vec<&str> = import
                    .iter()
                    .map(String::as_str)
                    .chain(segments[1..].iter().copied())
                    .collect();
                fault(layer, &whole, false)
            }
            _ => None,
        });
        findings.extend(found.map(|message| source.finding(path.at, &message)));
    }
    findings.dedup();
    findings
}

fn fault_of_import(layer: &Layer, import: &[String]) -> Option<String> {
    fault(layer, &import.iter().map(String::as_str).collect::<Vec<_>>(), true)
}

/// What is wrong with a path in this layer, if anything.
fn fault(layer: &Layer, path: &[&str], in_use: bool) -> Option<String> {
    let is_path = in_use || path.len() > 1;
    if let Some(banned) = layer.must_not_use.iter().find(|ban| is_path && covers(ban, path)) {
        return Some(format!("{} must not use {banned}", layer.name));
    }
    let ["crate", target, rest @ ..] = path else { return None };
    if *target == layer.name {
        return None;
    }
    let parts: Vec<&str> = layer
        .may_import
        .iter()
        .filter_map(|entry| entry.split_once("::"))
        .filter_map(|(module, part)| (module == *target).then_some(part))
        .collect();
    // A submodule is behind the face; an item of it, or a type's own item, is not.
    let hidden = rest.len() > 1 && rest[0].starts_with(|c: char| c.is_ascii_lowercase());
    let allowed = layer.may_import.contains(target)
        || match rest.first() {
            None => !parts.is_empty(),
            Some(item) => parts.contains(item) || parts.contains(&"*") && !hidden,
        };
    let what = if parts.is_empty() { (*target).to_owned() } else { path[1..].join("::") };
    (!allowed).then(|| format!("{} must not import {what}", layer.name))
}

/// Whether `ban` is `path` or a start of it; `a::*` may bring in every item of `a`.
fn covers(ban: &str, path: &[&str]) -> bool {
    let ban: Vec<&str> = ban.split("::").collect();
    let family = ban.len() == 1 && path[0].starts_with(&format!("{}_", ban[0]));
    for (i, part) in ban.iter().enumerate() {
        match path.get(i) {
            Some(&"*") => return true,
            Some(segment) if segment == part || family => {}
            _ => return false,
        }
    }
    true
}

fn strayed(source: &Source) -> Vec<String> {
    if source.module().is_none() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for path in paths(&source.tokens()) {
        let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
        let strays = |(name, folder): &&(&str, &str)| {
            (path.in_use || segments.len() > 1)
                && covers(name, &segments)
                && !source.path.starts_with(folder)
        };
        let found = CONFINED.iter().find(strays);
        findings.extend(found.map(|(name, folder)| {
            source.finding(path.at, &format!("{name} is used in {folder} only"))
        }));
    }
    findings
}

fn inexact_functions(source: &Source) -> Vec<String> {
    let is_pure = |layer: &Layer| std::ptr::eq(layer.must_not_use, PURE);
    let layer = LAYERS.iter().find(|layer| source.module() == Some(layer.name));
    if !layer.is_some_and(is_pure) {
        return Vec::new();
    }
    let tokens = source.tokens();
    let is_inexact = |three: &&[Token<'_>]| {
        let [before, name, after] = [three[0].text, three[1].text, three[2].text];
        INEXACT.contains(&name) && before == "." && after == "("
            || INEXACT.contains(&after) && name == "::" && ["f32", "f64"].contains(&before)
    };
    let message = "use engine::numeric::math (or a product): std's result differs by platform";
    tokens.windows(3).filter(is_inexact).map(|three| source.finding(three[1].at, message)).collect()
}

fn header_and_name(source: &Source) -> Vec<String> {
    let stem = source.path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs"));
    let mut findings = Vec::new();
    if !source.raw.starts_with("//!") {
        findings.push(source.finding(0, "start with a `//!` header"));
    }
    let vague = |part: &str| VAGUE_NAMES.contains(&part);
    if stem.is_some_and(vague) || source.path.split('/').any(vague) {
        findings.push(source.finding(0, "name the file after what is in it"));
    }
    findings
}

fn long_files(source: &Source, exceptions: &[(&str, &str)]) -> Vec<String> {
    let lines = source.raw.lines().count();
    if lines <= FILE_LINES_MAX || exceptions.iter().any(|(path, _)| *path == source.path) {
        return Vec::new();
    }
    vec![source.finding(0, &format!("{lines} lines: split above {FILE_LINES_MAX}"))]
}

/// From the line of `fn` to that of the closing brace.
fn long_functions(source: &Source, exceptions: &[(&str, &str)]) -> Vec<String> {
    let tokens = tokens(&source.code);
    let mut findings = Vec::new();
    for (i, pair) in tokens.windows(2).enumerate() {
        let name = pair[1].text;
        if pair[0].text != "fn" || !is_word(name.as_bytes()[0]) {
            continue;
        }
        let end = tokens[item_end(&tokens, i)].at;
        let lines = source.line(end) - source.line(pair[0].at) + 1;
        let listed = format!("{} {name}", source.path);
        if lines > FUNCTION_LINES_MAX && !exceptions.iter().any(|(entry, _)| *entry == listed) {
            let message = format!("fn {name} has {lines} lines: split above {FUNCTION_LINES_MAX}");
            findings.push(source.finding(pair[0].at, &message));
        }
    }
    findings
}

fn unfinished(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for three in source.tokens().windows(3) {
        if [three[0].text, three[1].text, three[2].text] == [".", "unwrap", "("] {
            let message = "no unwrap outside tests: return the error, or expect(\"invariant\")";
            findings.push(source.finding(three[1].at, message));
        }
    }
    let mut at = 0;
    for line in source.untested.split_inclusive('\n') {
        let is_word = |word: &&str| ["TODO", "FIXME"].contains(word);
        if line.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| is_word(&word)) {
            findings.push(source.finding(at, "do it now, or open an issue and link it"));
        }
        if line.trim().strip_prefix("// ").is_some_and(is_statement) {
            findings.push(source.finding(at, "remove the code in the comment"));
        }
        at += line.len();
    }
    findings
}

/// Whether a comment reads like a line of Rust: how it begins and how it ends.
fn is_statement(comment: &str) -> bool {
    let begins = ["let ", "use ", "fn ", "pub ", "if ", "for ", "match ", "return ", "impl ", "#["];
    let ends = [";", "{", "}", "]", "),"];
    let has = |text: &str| ends.iter().any(|end| text.ends_with(end));
    begins.iter().any(|begin| comment.starts_with(begin)) && has(comment)
        || comment.ends_with(");")
        || comment.ends_with("})")
}

fn stray_text(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    let mut at = 0;
    for line in source.raw.split_inclusive('\n') {
        let text = line.trim_end_matches(['\n', '\r']);
        if text.ends_with([' ', '\t']) {
            findings.push(source.finding(at, "remove the blanks at the end of the line"));
        }
        at += line.len();
    }
    for folder in ["/work/", "/home/", "/root/", "/tmp/"] {
        for (at, _) in source.untested.match_indices(folder) {
            let before = source.untested[..at].chars().next_back();
            // Only the start of an absolute path: `frame/work/` and `$dir/tmp/` are others.
            if !before.is_some_and(|c| c.is_alphanumeric() || "._-}/".contains(c)) {
                findings.push(source.finding(at, "name no path of a machine"));
            }
        }
    }
    findings
}

// ---------------------------------------------------------------- reading

/// A file in three views of the same length, so that an offset means the same in each.
struct Source {
    path: String,
    /// As it is.
    raw: String,
    /// Comments and literals blanked.
    code: String,
    /// As it is, with tests blanked.
    untested: String,
    /// What is left when comments, literals and tests are blanked.
    body: String,
}

impl Source {
    fn new(path: &str, raw: &str) -> Self {
        let is_rust = path.ends_with(".rs");
        let is_test = path.split('/').any(|part| part == "tests" || part == "tests.rs");
        let code = if is_rust { blank_comments_and_literals(raw) } else { raw.to_owned() };
        let (mut untested, mut body) = (raw.to_owned(), code.clone());
        let hidden = match (is_test, is_rust) {
            (true, _) => vec![(0, raw.len())],
            (_, true) => test_items(&code),
            _ => Vec::new(),
        };
        for (from, to) in hidden {
            untested.replace_range(from..to, &blank(&raw[from..to]));
            body.replace_range(from..to, &blank(&raw[from..to]));
        }
        Self { path: path.to_owned(), raw: raw.to_owned(), code, untested, body }
    }

    /// The top-level module, for a file of `src`.
    fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        inside.split('/').next().map(|first| first.trim_end_matches(".rs"))
    }

    /// Of what is left without comments, literals and tests.
    fn tokens(&self) -> Vec<Token<'_>> {
        tokens(&self.body)
    }

    fn line(&self, at: usize) -> usize {
        self.raw.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1
    }

    fn finding(&self, at: usize, message: &str) -> String {
        format!("{}:{}: {message}", self.path, self.line(at))
    }
}

/// Spaces of the same length in bytes, with the same line breaks.
fn blank(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn blank_comments_and_literals(raw: &str) -> String {
    let mut code = String::with_capacity(raw.len());
    while let Some(first) = raw[code.len()..].chars().next() {
        let rest = &raw[code.len()..];
        match opaque_len(rest, code.bytes().next_back().is_some_and(is_word)) {
            0 => code.push(first),
            len => code.push_str(&blank(&rest[..len])),
        }
    }
    code
}

/// Bytes of the comment or literal that `rest` starts with; 0 if it starts with neither.
fn opaque_len(rest: &str, in_word: bool) -> usize {
    let until = |mark: &str| rest.find(mark).map_or(rest.len(), |found| found + mark.len());
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        let mut depth = 0_usize;
        for (at, _) in rest.char_indices() {
            if rest[at..].starts_with("/*") {
                depth += 1;
            } else if rest[..at].ends_with("*/") {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
        }
        return rest.len();
    }
    let unprefixed = rest.trim_start_matches(['b', 'c']);
    if let Some(raw) = unprefixed.strip_prefix('r').filter(|_| !in_word) {
        let inner = raw.trim_start_matches('#');
        if let Some(inner) = inner.strip_prefix('"') {
            let close = format!("\"{}", "#".repeat(raw.len() - inner.len() - 1));
            let end = inner.find(&close).map_or(inner.len(), |found| found + close.len());
            return rest.len() - inner.len() + end;
        }
    }
    if rest.starts_with('"') {
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => return at + 1,
                _ => {}
            }
        }
        return rest.len();
    }
    match rest.strip_prefix('\'').map(|inner| inner.chars().next().unwrap_or(' ')) {
        Some('\\') => rest[3..].find('\'').map_or(rest.len(), |found| found + 4),
        // A lifetime has no quote behind its first letter.
        Some(c) if rest[1 + c.len_utf8()..].starts_with('\'') => until(&format!("{c}'")),
        _ => 0,
    }
}

struct Token<'a> {
    text: &'a str,
    at: usize,
}

/// Words, `::`, and single other characters.
fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = code[at..].chars().next() {
        let rest = &code[at..];
        let word = rest.bytes().take_while(|&byte| is_word(byte)).count();
        let len = match (word, rest.starts_with("::")) {
            (0, true) => 2,
            (0, false) => first.len_utf8(),
            _ => word,
        };
        if !first.is_whitespace() {
            found.push(Token { text: &rest[..len], at });
        }
        at += len;
    }
    found
}

/// The last token of the item at `from`: its closing brace, or the semicolon of one without a body.
fn item_end(tokens: &[Token<'_>], from: usize) -> usize {
    let (mut braces, mut others) = (0_usize, 0_usize);
    for (i, token) in tokens.iter().enumerate().skip(from) {
        match token.text {
            "(" | "[" => others += 1,
            ")" | "]" => others = others.saturating_sub(1),
            ";" if braces == 0 && others == 0 => return i,
            "{" => braces += 1,
            "}" => {
                braces = braces.saturating_sub(1);
                if braces == 0 && others == 0 {
                    return i;
                }
            }
            _ => {}
        }
    }
    tokens.len() - 1
}

/// Where the items below `#[cfg(test)]` are.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    for (i, seven) in tokens.windows(7).enumerate() {
        if seven.iter().map(|token| token.text).eq(["#", "[", "cfg", "(", "test", ")", "]"]) {
            found.push((seven[0].at, tokens[item_end(&tokens, i)].at + 1));
        }
    }
    found
}

/// A path of the source, a `use` with braces being several.
struct PathUse {
    segments: Vec<String>,
    /// What it is called here.
    name: String,
    at: usize,
    in_use: bool,
    grouped_at_root: bool,
}

fn paths(tokens: &[Token<'_>]) -> Vec<PathUse> {
    let mut found = Vec::new();
    let mut in_use = false;
    let mut i = 0;
    while i < tokens.len() {
        match tokens[i].text {
            // `impl Trait + use<'a>` is something else.
            "use" => in_use = tokens.get(i + 1).is_none_or(|next| next.text != "<"),
            ";" => in_use = false,
            text if is_word(text.as_bytes()[0]) => {
                // `a.b` has no path in `b`; `<A as B>::c` has none in `c`; `::a::b` has.
                let before = |n: usize| i.checked_sub(n).map_or("", |at| tokens[at].text);
                let continues = before(1) == "::" && (before(2) == ">");
                if before(1) != "." && !continues {
                    path_tree(tokens, &mut i, &[], in_use, &mut found);
                    continue;
                }
            }
            _ => {}
        }
        i += 1;
    }
    found
}

/// Reads one path, and all of them where it ends in braces; `i` ends behind it.
fn path_tree(
    tokens: &[Token<'_>],
    i: &mut usize,
    prefix: &[String],
    in_use: bool,
    found: &mut Vec<PathUse>,
) {
    let at = tokens[*i].at;
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text);
    let mut segments = prefix.to_vec();
    let first = found.len();
    loop {
        match text(*i) {
            "{" if in_use => {
                *i += 1;
                while !["}", ""].contains(&text(*i)) {
                    match text(*i) {
                        "," => *i += 1,
                        _ => path_tree(tokens, i, &segments, in_use, found),
                    }
                }
                *i += 1;
                let at_root = segments == ["crate"];
                found[first..].iter_mut().for_each(|path| path.grouped_at_root |= at_root);
                return;
            }
            "self" if !prefix.is_empty() => {}
            segment => segments.push(segment.to_owned()),
        }
        *i += 1;
        let goes_on = text(*i + 1).bytes().next().is_some_and(|b| is_word(b) || b"{*".contains(&b));
        if text(*i) != "::" || !goes_on {
            break;
        }
        *i += 1;
    }
    let mut name = segments.last().cloned().unwrap_or_default();
    if in_use && text(*i) == "as" {
        name = text(*i + 1).to_owned();
        *i += 2;
    }
    found.push(PathUse { segments, name, at, in_use, grouped_at_root: false });
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path:?}: {error}"))
}

fn rust_sources() -> Vec<Source> {
    let mut found = vec![Source::new("build.rs", &read("build.rs"))];
    for folder in ["src", "tests", "benches"] {
        walk(folder, &["rs"], &mut found);
    }
    found
}

/// Files that are not Rust but written by hand. Those of no extension are scripts.
fn other_texts() -> Vec<Source> {
    let mut found = Vec::new();
    for folder in ["proto", "migrations", "scripts", ".ci"] {
        walk(folder, &["proto", "sql", ""], &mut found);
    }
    for file in ["Cargo.toml", "clippy.toml", "deny.toml", "buf.yaml"] {
        found.push(Source::new(file, &read(file)));
    }
    found
}

fn walk(folder: &str, extensions: &[&str], found: &mut Vec<Source>) {
    let absolute = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let listing =
        fs::read_dir(&absolute).unwrap_or_else(|error| panic!("cannot list {absolute:?}: {error}"));
    let mut entries: Vec<_> = listing.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for entry in entries {
        let Some(name) = entry.file_name().and_then(|name| name.to_str()) else { continue };
        let path = format!("{folder}/{name}");
        let extension = entry.extension().and_then(|ext| ext.to_str()).unwrap_or_default();
        if entry.is_dir() {
            walk(&path, extensions, found);
        } else if extensions.contains(&extension) {
            found.push(Source::new(&path, &read(&path)));
        }
    }
}

#[track_caller]
fn report(findings: impl Iterator<Item = String>) {
    let findings: Vec<_> = findings.collect();
    assert!(findings.is_empty(), "{} findings\n{}", findings.len(), findings.join("\n"));
}

// ---------------------------------------------------------------- the rules bite

#[track_caller]
fn check(rule: fn(&Source) -> Vec<String>, path: &str, raw: &str, expected: &[&str]) {
    assert_eq!(rule(&Source::new(path, raw)), expected, "{path}: {raw}");
}

#[test]
fn an_import_of_a_higher_module_is_found() {
    let wrong = "//! Header.\n\nuse crate::service::Clock;\n";
    check(
        imports,
        "src/engine/mf.rs",
        wrong,
        &["src/engine/mf.rs:3: engine must not import service"],
    );
    check(imports, "src/service/mf.rs", wrong, &[]);
    check(imports, "tests/engine/mf.rs", wrong, &[]);
    for hidden in [
        "fn f() { crate::service::now() }",
        "fn f(x: &'static str, y: char) { g('\"', '\\'', r#\"\"\"#, crate::service::now()) }",
        "use crate::{service::Clock};",
        "use {crate::service::Clock};",
        "fn f() { $crate::service::now() }",
        "pub use crate::service as s;",
        "#[cfg(not(test))] use crate::service;",
    ] {
        let found = imports(&Source::new("src/engine/mf.rs", hidden));
        assert_eq!(found.len(), 1, "{hidden}: {found:?}");
    }
}

#[test]
fn comments_literals_and_tests_import_what_they_like() {
    for free in [
        "// use crate::service;",
        "/* /* */ use crate::service; */",
        "const A: &str = \"use crate::service;\";",
        "const A: &str = r#\" \"use crate::service; \"#;",
        "#[cfg(test)]\nmod tests { use crate::service; fn f() { let a = [1; 2]; } }",
        "#[cfg(test)]\nuse crate::service;",
        "use engine::domain::Item;\nuse engine::View;\nfn f<'a>(a: &'a str) {}",
    ] {
        check(imports, "src/engine/mf.rs", free, &[]);
    }
    check(imports, "src/engine/mf/tests.rs", "use crate::service;", &[]);
    let after = "#[cfg(test)]\nmod tests { fn f() {} }\nuse crate::api;";
    check(imports, "src/engine/a.rs", after, &["src/engine/a.rs:3: engine must not import api"]);
}

#[test]
fn only_the_listed_part_of_a_module_is_open() {
    let path = "src/api/a.rs";
    let found = "src/api/a.rs:1: api must not import storage::LogAppend";
    check(imports, path, "use crate::storage::{Appended, LogAppend};", &[found]);
    check(imports, path, "use crate::storage; fn f(e: storage::LogAppend) {}", &[found]);
    check(imports, path, "use crate::storage as s; fn f(e: s::LogAppend) {}", &[found]);
    check(imports, path, "use crate::storage; fn f(e: storage::Appended) {}", &[]);
    check(imports, path, "use engine; fn f() { engine::rank(engine::Reason::New) }", &[]);
    let found = "src/api/a.rs:1: api must not import engine::collaborative::Scan";
    check(imports, path, "use engine::collaborative::Scan;", &[found]);
    let found = "src/service/a.rs:1: service must not use crate::storage::open_sqlite";
    check(imports, "src/service/a.rs", "use crate::storage::open_sqlite;", &[found]);
}

#[test]
fn grouped_and_climbing_imports_are_refused() {
    let grouped = "src/cli/a.rs:1: write one `use` for each module of the crate";
    check(imports, "src/cli/a.rs", "use crate::{domain};", &[grouped]);
    check(imports, "src/cli/a.rs", "use crate::*;", &[grouped]);
    let climbing = "src/engine/a.rs:1: write crate:: for super::super::";
    check(imports, "src/engine/a.rs", "use super::super::service;", &[climbing]);
    check(imports, "src/engine/a.rs", "use super::decay;", &[]);
    let climbing = "src/engine/mod.rs:1: write crate:: for super:: here";
    check(imports, "src/engine/mod.rs", "use super::service;", &[climbing]);
    let unknown = "src/magic.rs:1: magic is not in the layer table";
    check(imports, "src/magic.rs", "//! Header.", &[unknown]);
}

#[test]
fn a_banned_crate_or_type_is_found() {
    for (wrong, ban) in [
        ("use tokio::time::sleep;", "tokio"),
        ("use tokio_util::task::TaskTracker;", "tokio"),
        ("use std::{fs, io};", "std::fs"),
        ("use std::time::{Duration, Instant};", "std::time::Instant"),
        ("use std::time; fn f() { time::SystemTime::now() }", "std::time::SystemTime"),
        ("use std::collections::*;", "std::collections::HashMap"),
        ("fn f(a: ::std::collections::HashSet<u8>) {}", "std::collections::HashSet"),
        ("fn f() { tracing::info!(1) }", "tracing"),
        ("#[tonic::async_trait]\nimpl A for B {}", "tonic"),
    ] {
        let found = format!("src/numeric/a.rs:1: numeric must not use {ban}");
        check(imports, "src/numeric/a.rs", wrong, &[&found]);
    }
    check(imports, "src/numeric/a.rs", "use std::time::Duration; fn f() { tokio.tonic() }", &[]);
    let found = "src/storage/a.rs:1: storage must not use tonic";
    check(imports, "src/storage/a.rs", "use tonic::Status;", &[found]);
    check(imports, "src/api/a.rs", "use tonic::Status;", &[]);
}

#[test]
fn a_confined_crate_elsewhere_is_found() {
    let found = "src/service/a.rs:1: candle is used in src/service/embedder/ only";
    check(strayed, "src/service/a.rs", "use candle_core::Tensor;", &[found]);
    let found = "src/engine/a.rs:1: tokenizers is used in src/service/embedder/ only";
    check(strayed, "src/engine/a.rs", "fn f(t: tokenizers::Tokenizer) {}", &[found]);
    check(strayed, "src/service/embedder/a.rs", "use candle_nn::VarBuilder;", &[]);
    check(strayed, "src/service/a.rs", "fn f(tokenizers: u8) { g(tokenizers) }", &[]);
}

#[test]
fn an_elementary_function_of_std_is_found() {
    let message = "use engine::numeric::math (or a product): std's result differs by platform";
    let found = format!("src/engine/a.rs:1: {message}");
    check(inexact_functions, "src/engine/a.rs", "fn f(x: f64) { (-x).exp() }", &[&found]);
    check(inexact_functions, "src/engine/a.rs", "fn f() { a.map(f32::ln) }", &[&found]);
    check(inexact_functions, "src/engine/a.rs", "fn f(x: f64) { math::exp(x).sqrt() }", &[]);
    check(inexact_functions, "src/cli/a.rs", "fn f(x: f64) { x.exp() }", &[]);
    let tested = "#[cfg(test)]\nmod tests { fn f(x: f64) { x.exp() } }";
    check(inexact_functions, "src/engine/a.rs", tested, &[]);
}

#[test]
fn a_missing_header_or_a_vague_name_is_found() {
    let found = "src/api/a.rs:1: start with a `//!` header";
    check(header_and_name, "src/api/a.rs", "use std::fmt;", &[found]);
    let found = "src/api/utils.rs:1: name the file after what is in it";
    check(header_and_name, "src/api/utils.rs", "//! Header.", &[found]);
    let found = "src/common/mod.rs:1: name the file after what is in it";
    check(header_and_name, "src/common/mod.rs", "//! Header.", &[found]);
}

#[test]
fn long_files_and_functions_are_found_unless_listed() {
    let long = Source::new("src/api/a.rs", &"\n".repeat(501));
    assert_eq!(long_files(&long, &[]), ["src/api/a.rs:1: 501 lines: split above 500"]);
    assert!(long_files(&long, &[("src/api/a.rs", "a reason")]).is_empty());
    let body = "fn short() {}\nfn long(a: [u8; 4])\n{".to_owned() + &"\n".repeat(70) + "}\n";
    let long = Source::new("src/api/a.rs", &body);
    let found = "src/api/a.rs:2: fn long has 72 lines: split above 70";
    assert_eq!(long_functions(&long, &[]), [found]);
    assert!(long_functions(&long, &[("src/api/a.rs long", "a reason")]).is_empty());
}

#[test]
fn unfinished_work_is_found() {
    let found = "src/api/a.rs:2: do it now, or open an issue and link it";
    check(unfinished, "src/api/a.rs", "//! Header.\n// TODO: more", &[found]);
    let found = "src/api/a.rs:1: remove the code in the comment";
    check(unfinished, "src/api/a.rs", "    // let a = 1;", &[found]);
    check(unfinished, "src/api/a.rs", "    // First one; then another;\n// let it be (so).", &[]);
    let found =
        "src/api/a.rs:1: no unwrap outside tests: return the error, or expect(\"invariant\")";
    check(unfinished, "src/api/a.rs", "fn f() { a.unwrap() }", &[found]);
    check(unfinished, "src/api/a.rs", "fn f() { a.unwrap_or(b) } // never .unwrap()", &[]);
    check(unfinished, "src/api/a.rs", "#[cfg(test)]\nmod tests { fn f() { a.unwrap() } }", &[]);
}

#[test]
fn stray_blanks_and_machine_paths_are_found() {
    let found = "scripts/a:2: remove the blanks at the end of the line";
    check(stray_text, "scripts/a", "a\nb \nc\n", &[found]);
    let found = "scripts/a:2: name no path of a machine";
    check(stray_text, "scripts/a", "a\ncd \"/home/me\"", &[found]);
    check(stray_text, "src/api/a.rs", "//! frame/work/a, $dir/tmp/b, ${dir}/tmp/c", &[]);
}
