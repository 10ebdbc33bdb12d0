//! Keeps the architecture invariants that `src/lib.rs` promises, by reading the sources.
//!
//! Each top-level module may import what its row in [`LAYERS`] says and nothing else; some powers (TCP, signals,
//! printing, the environment) belong to one module each; pure files name no clock and no IO; every file opens with its
//! purpose. Tests inside `src` are exempt: they may play the other side. Rejected: a lint tool, because none knows
//! the layers, and because what is forbidden here should fail where the tests of a change are run anyway.

// The whole file is a test; the exemption in clippy.toml reaches only functions marked as such.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What everybody may import.
const VOCABULARY: &[&str] = &["mail", "error", "backoff", "status", "ownership", "application", "keeping"];

/// Top-level modules, and what each may import beside itself and, unless it is strict, the vocabulary.
const LAYERS: &[(&str, Imports)] = &[
    ("mail", Strictly(&[])),
    ("error", Strictly(&[])),
    ("backoff", Strictly(&[])),
    ("status", Strictly(&[])),
    ("ownership", Strictly(&[])),
    ("application", Strictly(&[])),
    ("keeping", Strictly(&[])),
    ("sync", Also(&[])),
    ("net", Also(&[])),
    ("disk", Strictly(&[])),
    ("command", Strictly(&[])),
    ("task", Strictly(&[])),
    ("lock", Strictly(&["disk", "error"])),
    ("imap", Also(&["net", "sync"])),
    ("pop", Also(&["net", "sync"])),
    ("smtp", Also(&["net"])),
    ("oauth", Also(&["net", "disk", "command", "task"])),
    ("maildir", Also(&["sync", "disk", "task"])),
    ("ledger", Also(&["sync"])),
    ("queue", Also(&["disk"])),
    ("provider", Also(&["net"])),
    ("supervisor", Strictly(&["error", "backoff"])),
    ("control", Also(&["task"])),
    ("config", Also(&["provider", "net", "disk"])),
    (
        "account",
        Also(&[
            "sync", "net", "imap", "pop", "smtp", "oauth", "maildir", "ledger", "queue", "provider",
            "config", "task",
        ]),
    ),
    (
        "doctor",
        Also(&[
            "sync", "net", "imap", "pop", "smtp", "oauth", "provider", "config", "account", "task", "lock",
        ]),
    ),
    ("daemon", AllBut(&["cli"])),
    ("cli", AllBut(&[])),
    ("main", AllBut(&[])),
    ("lib", AllBut(&[])),
];

/// Words that only the modules named may write.
const POWERS: &[(&str, &[&str])] = &[
    ("TcpStream", &["net"]),
    ("TcpListener", &["net"]),
    ("signal_hook", &["daemon"]),
    ("signal_hook_tokio", &["daemon"]),
    ("println!", &["cli", "main"]),
    ("eprintln!", &["cli", "main"]),
    ("print!", &["cli", "main"]),
    ("eprint!", &["cli", "main"]),
    ("env::", &["cli", "main"]),
];

/// Files and directories of pure code, where they exist.
const PURE: &[&str] = &[
    "mail",
    "backoff.rs",
    "application.rs",
    "keeping.rs",
    "ownership.rs",
    "sync/delta.rs",
    "sync/plan.rs",
    "sync/guard.rs",
    "sync/moves.rs",
    "sync/pair.rs",
    "sync/maildrop.rs",
    "maildir/name.rs",
    "smtp/reply.rs",
    "pop/reply.rs",
    "pop/body.rs",
    "pop/capabilities.rs",
    "queue/envelope.rs",
    "queue/retry.rs",
    "supervisor/plan.rs",
    "oauth/token.rs",
    "oauth/answer.rs",
    "oauth/flow/callback.rs",
    "oauth/flow/page.rs",
    "oauth/flow/paste.rs",
    "config/meant.rs",
    "provider/answers.rs",
    "provider/issuers.rs",
    "provider/meant.rs",
    "provider/table.rs",
    "provider/written.rs",
    "doctor/record.rs",
    "doctor/redact.rs",
    "doctor/redact",
    "doctor/tls.rs",
    "net/plain.rs",
    "net/patience.rs",
    "net/words.rs",
    "imap/parse.rs",
    "imap/parse",
];

/// What pure code cannot name.
const IMPURE: &[&str] =
    &["now()", "tokio", "std::fs", "std::net", "fastrand", "rustix", "rusqlite", "reqwest"];

enum Imports {
    /// The vocabulary, and these.
    Also(&'static [&'static str]),
    /// These only.
    Strictly(&'static [&'static str]),
    /// Everything else.
    AllBut(&'static [&'static str]),
}
use Imports::{AllBut, Also, Strictly};

impl Imports {
    fn allow(&self, module: &str) -> bool {
        match self {
            Also(those) => VOCABULARY.contains(&module) || those.contains(&module),
            Strictly(those) => those.contains(&module),
            AllBut(those) => !those.contains(&module),
        }
    }
}

#[test]
fn the_sources_keep_the_layers() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = read_sources(&source);
    assert!(files.len() > 15, "the sources were not found");
    let only_in_tests = test_modules(&files);
    let found: Vec<String> = files
        .iter()
        .flat_map(|(path, text)| match only_in_tests.contains(path) {
            true => missing_purpose(path, text),
            false => violations(path, text),
        })
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_planted_violation_is_seen() {
    let seen = |path: &str, code: &str| violations(Path::new(path), &format!("//! Purpose.\n{code}"));
    for (path, code) in [
        ("imap/session.rs", "use crate::maildir::Store;"),
        ("imap/session.rs", "use crate::{mail::Uid, smtp};"),
        ("imap/session.rs", "use crate::{\n    error::{Class, Classified},\n    queue::Id,\n};"),
        ("oauth/mod.rs", "fn f() { super::imap::f() }"),
        ("oauth/keeper.rs", "use super::super::provider::Table;"),
        ("queue/mod.rs", "fn f(x: &crate::ledger::Ledger) {}"),
        ("account/mod.rs", "use crate::supervisor::Unit;"),
        ("supervisor/mod.rs", "use crate::mail::Uid;"),
        ("daemon.rs", "use crate::cli::run;"),
        ("smtp/mod.rs", "use tokio::net::TcpStream;"),
        ("queue/mod.rs", "fn f() { println!(\"{}\", 1) }"),
        ("config/mod.rs", "fn f() { std::env::var(\"HOME\"); }"),
        ("config/mod.rs", "use std::{env, fs}; fn f() { env::args(); }"),
        ("account/mod.rs", "use signal_hook::consts::SIGTERM;"),
        ("oauth/token.rs", "fn f() { Timestamp::now(); }"),
        ("sync/plan.rs", "use tokio::sync::mpsc;"),
        ("unheard_of/mod.rs", "use crate::imap;"),
    ] {
        assert_eq!(seen(path, code).len(), 1, "{path}: {code}: {:?}", seen(path, code));
    }
    assert_eq!(violations(Path::new("imap/a.rs"), "use std::fmt;").len(), 1, "no purpose");
}

#[test]
fn what_is_allowed_or_only_said_is_not_a_violation() {
    let seen = |path: &str, code: &str| violations(Path::new(path), &format!("//! Purpose.\n{code}"));
    for (path, code) in [
        ("imap/session.rs", "use crate::{error::Class, mail::{Uid, UidSet}, net, sync};"),
        ("imap/session.rs", "// use crate::smtp; println!\nlet x = \"crate::smtp \\\" TcpStream\";"),
        (
            "imap/session.rs",
            "/* use crate::smtp; /* nested */ */ let c = '\"'; let l: &'static str = r#\"crate::smtp\"#;",
        ),
        ("imap/session.rs", "use super::wire::Frame; use self::parse::f; use crate::imap::x;"),
        ("imap/session.rs", "#[cfg(test)]\nmod tests { use tokio::net::TcpListener; fn f() { println!() } }"),
        ("account/token.rs", "use crate::{oauth::Keeper, config::Account};"),
        ("oauth/endpoint.rs", "const V: &str = env!(\"CARGO_PKG_VERSION\"); fn fingerprint() {}"),
        ("cli/status.rs", "use crate::daemon; fn f() { println!(\"x\"); std::env::var(\"X\"); }"),
    ] {
        assert_eq!(seen(path, code), Vec::<String>::new(), "{path}: {code}");
    }
}

/// Everything wrong with one file; `path` is relative to `src`.
fn violations(path: &Path, text: &str) -> Vec<String> {
    let module = top_module(path);
    let code = without_tests(&without_words(text));
    let mut found = missing_purpose(path, text);
    let at = path.display();
    match LAYERS.iter().find(|(name, _)| *name == module) {
        None => found.push(format!("src/{at}: `{module}` has no row in LAYERS")),
        Some((_, allowed)) => {
            let edges = edges(path, &code).into_iter().filter(|to| *to != module && !allowed.allow(to));
            found.extend(edges.map(|to| format!("src/{at}: {module} must not import {to}")));
        }
    }
    for (word, owners) in POWERS {
        if !owners.contains(&module.as_str()) && has_word(&code, word) {
            found.push(format!("src/{at}: `{word}` belongs to {}", owners.join(", ")));
        }
    }
    if PURE.iter().any(|pure| path.starts_with(pure)) {
        let named = IMPURE.iter().filter(|word| has_word(&code, word));
        found.extend(named.map(|word| format!("src/{at}: pure code must not name `{word}`")));
    }
    found
}

fn missing_purpose(path: &Path, text: &str) -> Vec<String> {
    let complaint = || format!("src/{}: does not open with its purpose (`//!`)", path.display());
    if text.starts_with("//! ") { Vec::new() } else { vec![complaint()] }
}

fn top_module(path: &Path) -> String {
    let first = path.iter().next().unwrap().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The top-level modules of this crate that the code names: `crate::x`, `crate::{x, y}`, `posthaste::x`, and as many
/// `super::` as lead to the root.
fn edges(path: &Path, code: &str) -> BTreeSet<String> {
    let to_root = format!(" {}", "super::".repeat(depth(path)));
    let mut found = BTreeSet::new();
    for root in ["crate::", "posthaste::", to_root.trim()] {
        for (start, _) in code.match_indices(root).filter(|_| !root.is_empty()) {
            let before = code[..start].chars().next_back();
            if before.is_some_and(|c| is_name(c) || c == ':') {
                continue;
            }
            found.extend(first_names(&code[start + root.len()..]));
        }
    }
    found.into_iter().filter(|name| LAYERS.iter().any(|(module, _)| module == name)).collect()
}

/// How many `super::` lead from a file to the crate's root.
fn depth(path: &Path) -> usize {
    let root_file = ["lib.rs", "main.rs"].iter().any(|name| path == Path::new(name));
    let names = path.iter().count();
    if root_file {
        0
    } else if path.ends_with("mod.rs") {
        names - 1
    } else {
        names
    }
}

/// The first names of a path, or of each path in a group.
fn first_names(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else { return vec![leading_name(rest)] };
    let (mut depth, mut item, mut names) = (1, String::new(), Vec::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(leading_name(&std::mem::take(&mut item))),
            _ if depth == 1 => item.push(c),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names.push(leading_name(&item));
    names
}

fn leading_name(text: &str) -> String {
    text.trim_start().chars().take_while(|c| is_name(*c)).collect()
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether the word stands alone: not as part of a longer name.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(start, _)| {
        let before = code[..start].chars().next_back();
        let after = code[start + word.len()..].chars().next();
        let longer = word.ends_with(is_name) && after.is_some_and(is_name);
        !longer && !before.is_some_and(is_name)
    })
}

/// The code without comments and without the contents of strings and characters.
fn without_words(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped =
            comment(rest).or_else(|| string(rest, code.chars().next_back())).or_else(|| character(rest));
        match skipped {
            Some(length) => {
                code.push(' ');
                rest = &rest[length..];
            }
            None => {
                code.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    code
}

fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    rest.strip_prefix("/*")?;
    let (mut depth, mut at) = (0_i32, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        let step = if here.starts_with(b"/*") {
            1
        } else if here.starts_with(b"*/") {
            -1
        } else {
            0
        };
        depth += step;
        at += if step == 0 { 1 } else { 2 };
        if depth == 0 {
            return Some(at);
        }
    }
    Some(rest.len())
}

fn string(rest: &str, before: Option<char>) -> Option<usize> {
    if let Some(raw) = rest.strip_prefix('r').filter(|_| !before.is_some_and(|c| is_name(c) && c != 'b')) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let body = raw[hashes..].strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        let end = body.find(&close).map_or(body.len(), |end| end + close.len());
        return Some(rest.len() - body.len() + end);
    }
    let body = rest.strip_prefix('"')?;
    let mut escaped = false;
    let end = body.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    Some(end.map_or(rest.len(), |end| end + 2))
}

/// A character literal; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('\'')?;
    let first = body.chars().next()?;
    if first == '\\' {
        return body[2..].find('\'').map(|end| end + 4);
    }
    body[first.len_utf8()..].starts_with('\'').then_some(first.len_utf8() + 2)
}

/// The code without its inline test modules.
fn without_tests(code: &str) -> String {
    let Some((before, after)) = code.split_once("#[cfg(test)]") else { return code.to_owned() };
    let (Some(open), end) = (after.find('{'), after.find(';')) else { return code.to_owned() };
    if !after.trim_start().starts_with("mod") || end.is_some_and(|end| end < open) {
        return format!("{before}{}", without_tests(after));
    }
    let mut depth = 0_i32;
    let close = after.char_indices().find(|(_, c)| {
        depth += i32::from(*c == '{') - i32::from(*c == '}');
        *c == '}' && depth == 0
    });
    format!("{before}{}", without_tests(&after[close.map_or(after.len(), |(at, _)| at + 1)..]))
}

/// The files that exist only in tests: declared as `#[cfg(test)] mod x;`.
fn test_modules(files: &[(PathBuf, String)]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for (path, text) in files {
        let code = without_words(text);
        for after in code.split("#[cfg(test)]").skip(1) {
            let declared = after.trim_start().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            let Some(name) = declared.strip_prefix("mod ").and_then(|rest| rest.split_once(';')) else {
                continue;
            };
            let home = if path.ends_with("mod.rs") {
                path.parent().unwrap().to_owned()
            } else {
                path.with_extension("")
            };
            let home = if depth(path) == 0 { PathBuf::new() } else { home };
            found.insert(home.join(format!("{}.rs", name.0.trim())));
            found.insert(home.join(name.0.trim()).join("mod.rs"));
        }
    }
    found
}

fn read_sources(source: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut directories = vec![source.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(source).unwrap().to_owned(), text));
            }
        }
    }
    found
}
