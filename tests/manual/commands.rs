//! posthaste(1) beside the command line: every command and option, and none that does not exist.

use std::collections::BTreeSet;

use clap::CommandFactory;
use posthaste::cli::Arguments;
use posthaste::cli::error::Exit;
use posthaste::status::State;

use super::page::{Part, lines, parts, words_of};

const PAGES: [&str; 2] = ["posthaste.1", "posthaste-config.5"];

fn section(name: &str) -> Part {
    let found = parts("posthaste.1").into_iter().find(|part| part.section == name && part.heading.is_empty());
    found.unwrap_or_else(|| panic!("no section {name}"))
}

/// Every command that does something, with its long options: `held approve`.
fn commands() -> Vec<(String, BTreeSet<String>)> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), Arguments::command())];
    while let Some((path, command)) = open.pop() {
        let below: Vec<_> = command.get_subcommands().cloned().collect();
        let named = |name: &str| format!("{path} {name}").trim().to_owned();
        if below.is_empty() {
            let options = command.get_arguments().filter(|argument| !argument.is_hide_set());
            let options = options.filter_map(clap::Arg::get_long).filter(|name| !SHARED.contains(name));
            found.push((path.clone(), options.map(str::to_owned).collect()));
        }
        open.extend(below.into_iter().map(|command| (named(command.get_name()), command)));
    }
    found
}

/// What every command takes; clap adds the last two.
const SHARED: [&str; 5] = ["verbose", "quiet", "config", "help", "version"];

fn options_in(lines: &[String]) -> BTreeSet<String> {
    let words = lines.iter().flat_map(|line| words_of(line, "Fl"));
    words.filter_map(|word| word.strip_prefix('-').map(str::to_owned)).collect()
}

#[test]
fn every_command_is_described_with_its_options_and_no_other() {
    let mut described: Vec<(String, BTreeSet<String>)> =
        section("COMMANDS").items.iter().map(|item| (item.head.join(" "), options_in(&item.lines))).collect();
    let mut real = commands();
    described.sort();
    real.sort();
    assert_eq!(described, real);
}

#[test]
fn the_shared_options_are_described() {
    let described: BTreeSet<String> =
        section("OPTIONS").items.iter().flat_map(|item| options_in(&item.lines)).collect();
    let shared = Arguments::command();
    let real =
        shared.get_arguments().filter_map(clap::Arg::get_long).chain(["help", "version"]).map(str::to_owned);
    assert_eq!(described, real.collect());
}

#[test]
fn no_page_names_an_option_or_a_command_that_does_not_exist() {
    let commands = commands();
    let known: BTreeSet<&str> =
        commands.iter().flat_map(|(_, options)| options).map(String::as_str).chain(SHARED).collect();
    for line in PAGES.iter().flat_map(|page| lines(page)) {
        let typed = line.trim_start_matches(".Dl ").strip_prefix("posthaste ");
        let continued = Some(line.trim_start()).filter(|rest| rest.starts_with("--"));
        let words = typed.into_iter().chain(continued).flat_map(str::split_whitespace);
        let options = words.filter_map(|word| word.strip_prefix("--")?.split('=').next()).map(str::to_owned);
        for option in options.chain(options_in(std::slice::from_ref(&line))) {
            assert!(known.contains(option.as_str()), "--{option} in: {line}");
        }
        let mentioned = Some(words_of(&line, "Cm").join(" ")).filter(|_| line.starts_with(".Nm"));
        let commands_in_line = mentioned.into_iter().chain(typed.map(str::to_owned));
        for command in commands_in_line.filter(|command| !command.is_empty()) {
            let first = |words: &str| words.split(' ').next().map(str::to_owned);
            let is_real = |(name, _): &(String, _)| first(&command) == first(name);
            assert!(commands.iter().any(is_real), "{command} in: {line}");
        }
    }
}

#[test]
fn every_exit_code_and_every_state_is_described() {
    let codes: Vec<String> = section("EXIT STATUS").items.iter().map(|item| item.head.concat()).collect();
    let real = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::Unavailable,
        Exit::TryLater,
        Exit::NeedsLogin,
        Exit::Configuration,
    ];
    assert_eq!(codes, real.map(|exit| (exit as u8).to_string()));
    let states: BTreeSet<String> = section("STATUS").items.iter().map(|item| item.head.concat()).collect();
    let known = serde_json::from_str::<State>("\"?\"").unwrap_err().to_string();
    assert_eq!(states, super::expected(&known));
}
