//! The source as the rules see it: paths, called methods and functions of a file; the modules of
//! all of them, in which a path is looked up.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proc_macro2::Delimiter;
use proc_macro2::TokenStream;
use proc_macro2::TokenTree;
use syn::UseTree;

/// Path, line, message.
pub type Finding = (String, usize, String);

/// A path outside tests: `use` with braces is several, a called method is `.` and its name.
pub struct PathUse {
    pub segments: Vec<String>,
    pub line: usize,
    /// What a `use` calls it.
    name: Option<String>,
}

/// Each with the folder of its source.
const CRATES: &[(&str, &str)] = &[
    ("personalization", "src/"),
    ("engine", "crates/engine/src/"),
    ("privacy", "crates/privacy/src/"),
    ("statistics", "crates/statistics/src/"),
];

pub struct Source {
    pub path: String,
    pub text: String,
    pub is_test: bool,
    /// Crate and modules, for a file of a crate's `src`.
    pub module: Vec<String>,
    pub paths: Vec<PathUse>,
    /// Names, first and last lines.
    pub functions: Vec<(String, usize, usize)>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let is_test = path.split('/').any(|part| part == "tests" || part == "tests.rs");
        let inside = CRATES
            .iter()
            .find_map(|(name, root)| path.strip_prefix(root).map(|inside| (*name, inside)));
        let module =
            inside.filter(|_| path != "src/main.rs").map_or(Vec::new(), |(root, inside)| {
                let parts =
                    inside.split(['/', '.']).filter(|part| !["lib", "mod", "rs"].contains(part));
                [root].into_iter().chain(parts).map(str::to_owned).collect()
            });
        let (paths, functions) = (Vec::new(), Vec::new());
        let (path, text) = (path.to_owned(), text.to_owned());
        let mut source = Self { path, text, is_test, module, paths, functions };
        if source.path.ends_with(".rs") {
            let tokens = source.text.parse();
            source.take(tokens.unwrap_or_else(|error| panic!("{}: {error}", source.path)), is_test);
        }
        source
    }

    fn take(&mut self, tokens: TokenStream, is_test: bool) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let rest = &tokens[at..];
            at += match (token, rest.get(1)) {
                (TokenTree::Group(group), _) => {
                    self.take(group.stream(), is_test);
                    1
                }
                (TokenTree::Punct(_), Some(TokenTree::Group(it))) if is_test_attribute(it) => {
                    let item = &rest[2..2 + item_length(&rest[2..])];
                    self.take(item.iter().cloned().collect(), true);
                    2 + item.len()
                }
                (TokenTree::Ident(word), Some(TokenTree::Ident(name))) if word == "fn" => {
                    let last = rest[item_length(rest) - 1].span().end().line;
                    self.functions.push((name.to_string(), token.span().start().line, last));
                    2
                }
                (TokenTree::Ident(word), _) if !is_test && word == "use" => self.take_use(rest),
                (TokenTree::Ident(_), _) if !is_test => self.take_path(&tokens, at),
                _ => 1,
            };
        }
    }

    /// Returns how many tokens it has.
    fn take_use(&mut self, tokens: &[TokenTree]) -> usize {
        let end = tokens.iter().position(|token| punct(token) == Some(';')).unwrap_or(0);
        let item = syn::parse2::<syn::ItemUse>(tokens[..=end].iter().cloned().collect());
        // `impl Trait + use<'a>` is something else.
        let Ok(item) = item else { return 1 };
        flatten(&item.tree, &[], &mut self.paths);
        end + 1
    }

    /// Returns how many tokens it has.
    fn take_path(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let is = |at: usize, expected| tokens.get(at).and_then(punct) == Some(expected);
        let before = |n: usize, expected| at.checked_sub(n).is_some_and(|at| is(at, expected));
        let mut segments = vec![tokens[at].to_string()];
        let mut end = at + 1;
        while let Some(TokenTree::Ident(next)) =
            tokens.get(end + 2).filter(|_| is(end, ':') && is(end + 1, ':'))
        {
            segments.push(next.to_string());
            end += 3;
        }
        let is_call = matches!(tokens.get(end), Some(TokenTree::Group(_)));
        if before(1, '.') && !before(2, '.') && is_call {
            segments.insert(0, ".".to_owned());
        }
        // `<A as B>::c` names no module in `c`.
        if segments.len() > 1 && !(before(1, ':') && before(3, '>')) {
            let line = tokens[at].span().start().line;
            self.paths.push(PathUse { segments, line, name: None });
        }
        end - at
    }

    pub fn finding(&self, line: usize, what: &str) -> Finding {
        (self.path.clone(), line, what.to_owned())
    }
}

fn punct(token: &TokenTree) -> Option<char> {
    let TokenTree::Punct(punct) = token else { return None };
    Some(punct.as_char())
}

fn is_test_attribute(group: &proc_macro2::Group) -> bool {
    group.delimiter() == Delimiter::Bracket
        && group.stream().to_string().replace(' ', "") == "cfg(test)"
}

/// Up to the brace group or semicolon that ends the item.
fn item_length(tokens: &[TokenTree]) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        other => punct(other) == Some(';'),
    };
    tokens.iter().position(ends).map_or(tokens.len(), |end| end + 1)
}

fn flatten(tree: &UseTree, prefix: &[String], found: &mut Vec<PathUse>) {
    let (ident, name) = match tree {
        UseTree::Group(group) => {
            return group.items.iter().for_each(|item| flatten(item, prefix, found));
        }
        UseTree::Path(path) => {
            return flatten(&path.tree, &[prefix, &[path.ident.to_string()]].concat(), found);
        }
        UseTree::Name(one) => (one.ident.to_string(), &one.ident),
        UseTree::Rename(one) => (one.ident.to_string(), &one.rename),
        UseTree::Glob(glob) => {
            ("*".to_owned(), &proc_macro2::Ident::new("_", glob.star_token.spans[0]))
        }
    };
    let mut segments = prefix.to_vec();
    if ident != "self" {
        segments.push(ident);
    }
    let called = if name == "self" { segments.last().cloned() } else { Some(name.to_string()) };
    found.push(PathUse { segments, line: name.span().start().line, name: called });
}

pub fn split(path: &str) -> Vec<String> {
    path.split("::").map(str::to_owned).collect()
}

/// `config` is of the service's crate, `engine::domain` of the engine's.
pub fn full(module: &str) -> Vec<String> {
    if ["engine", "privacy", "statistics"].into_iter().any(|name| module.starts_with(name)) {
        split(module)
    } else {
        split(&format!("personalization::{module}"))
    }
}

/// Those of the root.
#[rustfmt::skip]
const FILES: &[&str] = &[
    "ARCHITECTURE.md", "CHANGELOG.md", "Cargo.toml", "Dockerfile", "README.md", "buf.yaml", "build.rs",
    "clippy.toml", "deny.toml", "docker-compose.yml",
];

pub struct Tree {
    pub sources: Vec<Source>,
    /// Indices in `sources` of files with a module.
    modules: BTreeMap<Vec<String>, usize>,
}

impl Tree {
    pub fn new(sources: Vec<Source>) -> Self {
        let positions = sources.iter().enumerate().filter(|(_, source)| !source.module.is_empty());
        let modules =
            positions.map(|(position, source)| (source.module.clone(), position)).collect();
        Self { sources, modules }
    }

    pub fn of_the_project() -> Self {
        let mut sources = Vec::new();
        for folder in ["src", "tests", "benches", "crates", "proto", "migrations", "scripts", ".ci"]
        {
            // Those of no extension are scripts.
            walk(folder, &["rs", "proto", "sql", "toml", ""], &mut sources);
        }
        for folder in ["docs", "deploy", "examples"] {
            walk(folder, &["md", "cfg", "py"], &mut sources);
        }
        for file in FILES {
            sources.push(Source::new(file, &read(file)));
        }
        Self::new(sources)
    }

    pub fn each(&self, rule: fn(&Self, &Source) -> Vec<Finding>) -> Vec<Finding> {
        self.sources.iter().flat_map(|source| rule(self, source)).collect()
    }

    /// The path from its crate on.
    pub fn full(&self, source: &Source, path: &PathUse) -> Vec<String> {
        let (first, rest) = (&path.segments[0], &path.segments[1..]);
        let child = [&source.module[..], &path.segments[..1]].concat();
        let climbs = path.segments.iter().take_while(|part| *part == "super").count();
        let named = |import: &&PathUse| path.name.is_none() && import.name.as_ref() == Some(first);
        let start = match first.as_str() {
            "crate" => source.module.first().cloned().into_iter().collect(),
            "self" => source.module.clone(),
            "super" => source.module[..source.module.len().saturating_sub(climbs)].to_vec(),
            _ if self.modules.contains_key(&child) => child,
            _ => match source.paths.iter().find(named) {
                Some(import) => self.full(source, import),
                None => vec![first.clone()],
            },
        };
        [&start, &rest[climbs.saturating_sub(1)..]].concat()
    }

    /// How many segments name the module that has the rest.
    pub fn module_length(&self, full: &[String]) -> usize {
        (0..=full.len()).rev().find(|n| self.modules.contains_key(&full[..*n])).unwrap_or(0)
    }

    /// Where what a path names is defined: exports are followed.
    pub fn defined(&self, full: &[String]) -> Vec<String> {
        let length = self.module_length(full);
        let source = self.modules.get(&full[..length]).map(|position| &self.sources[*position]);
        let is_export =
            |path: &&PathUse| path.name.is_some() && path.name.as_ref() == full.get(length);
        match source.and_then(|it| Some((it, it.paths.iter().find(is_export)?))) {
            Some((source, export)) => {
                self.defined(&[self.full(source, export), full[length + 1..].to_vec()].concat())
            }
            None => full.to_vec(),
        }
    }
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path:?}: {error}"))
}

/// In the order of their names.
fn walk(folder: &str, extensions: &[&str], found: &mut Vec<Source>) {
    let listing = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    let listing = listing.unwrap_or_else(|error| panic!("{folder}: {error}"));
    let names =
        listing.flatten().map(|it| (it.file_name().into_string().expect("UTF-8"), it.path()));
    for (name, absolute) in BTreeMap::from_iter(names) {
        let path = format!("{folder}/{name}");
        let extension = absolute.extension().and_then(|it| it.to_str()).unwrap_or_default();
        if absolute.is_dir() {
            walk(&path, extensions, found);
        } else if extensions.contains(&extension) {
            found.push(Source::new(&path, &read(&path)));
        }
    }
}
