//! posthaste-config(5) beside the configuration: what a table takes is asked of the parser, by a key that does not exist.

use std::collections::BTreeSet;
use std::path::Path;

use posthaste::config::{self, Config};
use posthaste::provider::Table;

use super::expected;
use super::page::{Item, Part, parts, words_of};

const PAGE: &str = "posthaste-config.5";
/// No key and no value has this name.
const NOBODY: &str = "nobody";

/// What the parser of the part's file says to this text.
fn complaint(part: &Part, text: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.toml");
    if part.section == "PROVIDERS" {
        std::fs::write(home.path().join("providers.toml"), text).unwrap();
        config::providers(&file).map(drop).unwrap_err().to_string()
    } else {
        std::fs::write(&file, text).unwrap();
        Config::load(&file, std::iter::empty(), Path::new("/home/a")).map(drop).unwrap_err().to_string()
    }
}

/// The tables that a part is about, as they are written: `[accounts.NAME.imap], [accounts.NAME.smtp]`.
fn tables(part: &Part) -> Vec<String> {
    let named = part.heading.split(", ").filter(|heading| heading.starts_with('['));
    let tables: Vec<String> = named.map(|heading| heading.trim_matches(['[', ']']).to_owned()).collect();
    if tables.is_empty() { vec![String::new()] } else { tables }
}

fn header(table: &str) -> String {
    if table.is_empty() { String::new() } else { format!("[{table}]\n") }
}

fn described() -> Vec<Part> {
    let all = parts(PAGE).into_iter();
    all.filter(|part| ["CONFIGURATION", "PROVIDERS"].contains(&part.section.as_str()))
        .filter(|part| !part.heading.is_empty())
        .collect()
}

fn keys(part: &Part) -> BTreeSet<String> {
    part.items.iter().flat_map(|item| item.head.iter().cloned()).collect()
}

#[test]
fn every_table_is_described_with_its_keys_and_no_other() {
    let parts = described();
    assert!(parts.len() > 10, "the page was not read");
    for part in &parts {
        for table in tables(part) {
            let complaint = complaint(part, &format!("{}{NOBODY} = 1\n", header(&table)));
            assert!(complaint.contains("unknown key"), "[{table}]: {complaint}");
            assert_eq!(keys(part), expected(&complaint), "[{table}]");
        }
    }
}

#[test]
fn a_key_that_is_a_table_has_a_part_of_its_own() {
    let parts = described();
    let known: BTreeSet<String> = parts.iter().flat_map(tables).collect();
    for part in &parts {
        for (table, key) in
            tables(part).iter().flat_map(|table| keys(part).into_iter().map(move |key| (table, key)))
        {
            let below = [table.as_str(), &key]
                .iter()
                .filter(|name| !name.is_empty())
                .copied()
                .collect::<Vec<_>>()
                .join(".");
            let complaint = complaint(part, &format!("[{below}]\n{NOBODY} = 1\n"));
            let has_keys = complaint.contains("unknown key") && !expected(&complaint).is_empty();
            // A cloud has the tables of its row.
            assert!(!has_keys || below.contains("CLOUD") || known.contains(&below), "[{below}]: {complaint}");
        }
    }
}

/// The words that an item names as values.
fn values(item: &Item) -> BTreeSet<String> {
    let text = item.lines.iter().skip(1);
    text.filter(|line| line.starts_with(".Cm")).flat_map(|line| words_of(line, "Cm")).collect()
}

#[test]
fn where_only_some_words_are_values_they_are_described_and_no_other() {
    let mut compared = 0;
    for part in described() {
        for (table, item) in
            tables(&part).iter().flat_map(|table| part.items.iter().map(move |item| (table, item)))
        {
            for key in item.head.iter().filter(|_| !values(item).is_empty()) {
                let complaint = complaint(&part, &format!("{}{key} = \"{NOBODY}\"\n", header(table)));
                if complaint.contains("unknown value") {
                    assert_eq!(values(item), expected(&complaint), "{table} {key}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 8, "{compared}");
}

#[test]
fn the_known_providers_are_named() {
    let parts = described();
    let account = parts.iter().find(|part| part.heading == "[accounts.NAME]").unwrap();
    let item = account.items.iter().find(|item| item.head == ["provider"]).unwrap();
    let known = Table::built_in().unwrap();
    assert_eq!(values(item), known.names().iter().map(ToString::to_string).collect());
}
