//! Dovecot's POP3 with real tokens.

use std::fs;

use super::support::dovecot::Options;
use super::support::maildir::normal;
use super::support::process::{Account, Home};
use super::support::{Host, filler, message, wait};

/// A home of `alice`, who fetches by POP3 over implicit TLS.
fn home(host: &Host, change: impl FnOnce(Account) -> Account) -> Home {
    let home = Home::new(env!("CARGO_BIN_EXE_posthaste"));
    let pop = Some((host.dovecot.ports.pops, "implicit"));
    let extra = "sweep = \"1s\"".to_owned();
    let account = change(Account { pop, extra, ..Account::of(host, "alice") });
    let has_token = account.token_url.is_some();
    home.configure(&[account]);
    if has_token {
        host.tokens.set_rotation(false);
        home.login("alice", &host.tokens.refresh_token("alice"));
    }
    home
}

fn on_server(host: &Host) -> usize {
    let mut client = host.imap("alice");
    client.select("INBOX");
    client.messages().len()
}

fn contents(home: &Home) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> =
        home.maildir("alice").messages("INBOX").into_iter().map(|mail| mail.content).collect();
    found.sort();
    found
}

#[test]
fn three_hundred_messages_arrive_byte_exact_and_a_second_visit_fetches_nothing() {
    Host::start().explain(|host| {
        let fixtures: Vec<_> = filler::odd(2 << 20).into_iter().chain(filler::plain(290, 3_000)).collect();
        filler::fill(&mut host.imap("alice"), "INBOX", filler::odd(2 << 20));
        filler::fill(&mut host.imap("alice"), "INBOX", filler::plain(290, 3_000));
        let home = home(host, |account| account);
        home.ok(&["sync"]);
        let mut wanted: Vec<Vec<u8>> = fixtures.iter().map(|one| pop_normal(&one.message)).collect();
        wanted.sort();
        assert_eq!(contents(&home).len(), 300);
        assert!(contents(&home) == wanted, "some content differs");
        let mail = home.maildir("alice").messages("INBOX");
        assert!(
            mail.iter().all(|mail| mail.flags.is_empty() && mail.path.parent().unwrap().ends_with("new"))
        );

        let paths: Vec<_> = mail.into_iter().map(|mail| mail.path).collect();
        assert!(home.ok(&["sync"]).contains("in step"));
        let again = home.maildir("alice").messages("INBOX");
        assert!(again.into_iter().map(|mail| mail.path).eq(paths), "the same files");
        assert_eq!(on_server(host), 300, "left on the server");
    });
}

/// POP3 ends every line: a message without a line end at its end gets one.
fn pop_normal(message: &[u8]) -> Vec<u8> {
    let mut text = normal(message);
    if text.last() != Some(&b'\n') {
        text.push(b'\n');
    }
    text
}

#[test]
fn every_way_to_log_in_is_taken_over_tls() {
    let only = |mechanisms: &str| Options {
        extra: format!("auth_mechanisms = {mechanisms}\n"),
        ..Options::default()
    };
    for (options, starttls, password, mechanism) in [
        (Options::default(), true, false, "OAUTHBEARER"),
        (only("plain login xoauth2"), false, false, "XOAUTH2"),
        (only("plain"), false, true, "PLAIN"),
    ] {
        Host::with(options).explain(|host| {
            host.deliver("alice", &message("one"));
            let home = home(host, |account| {
                let plain = if starttls { Some((host.dovecot.ports.pop, "starttls")) } else { account.pop };
                let token_url = if password { None } else { account.token_url };
                Account { pop: plain, token_url, ..account }
            });
            let _daemon = home.start();
            let account = home.wait_state("alice", "watching");
            assert_eq!((&account["mechanism"], &account["push"]), (&mechanism.into(), &"poll".into()));
            wait::until(wait::PATIENCE, "the first message", || contents(&home).len() == 1);
            host.deliver("alice", &message("two"));
            wait::until(wait::PATIENCE, "the second at the next sweep", || contents(&home).len() == 2);
        });
    }
}

#[test]
fn a_refused_token_needs_a_login_and_goes_on_after_it() {
    Host::start().explain(|host| {
        host.deliver("alice", &message("one"));
        let home = home(host, |account| account);
        home.ok(&["sync"]);
        host.tokens.revoke_refresh("alice");
        host.tokens.revoke_access("alice");
        let refused = home.run(&["sync"]);
        assert_eq!(refused.status.code(), Some(77), "{}", String::from_utf8_lossy(&refused.stderr));
        host.deliver("alice", &message("two"));
        home.login("alice", &host.tokens.refresh_token("alice"));
        home.ok(&["sync"]);
        assert_eq!(contents(&home).len(), 2);
    });
}

#[test]
fn a_lost_ledger_doubles_nothing_and_time_deletes_on_the_server() {
    Host::start().explain(|host| {
        filler::fill(&mut host.imap("alice"), "INBOX", filler::plain(60, 1_500));
        let home = home(host, |account| account);
        home.ok(&["sync"]);
        let before = contents(&home);
        for file in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
            let _ = fs::remove_file(home.state("alice").join(file));
        }
        home.ok(&["sync"]);
        assert!(contents(&home) == before, "paired again");

        let config = fs::read_to_string(home.config()).unwrap();
        let table = "[accounts.alice.pop]\n";
        fs::write(home.config(), config.replace(table, &format!("{table}delete_after = \"1s\"\n"))).unwrap();
        wait::until(wait::PATIENCE, "the server's copies to be deleted", || {
            home.ok(&["sync"]);
            on_server(host) == 0
        });
        assert!(contents(&home) == before, "the local copies stay");
    });
}

#[test]
fn submission_is_the_same_and_its_copy_is_filed_here() {
    Host::start().explain(|host| {
        let home = home(host, |account| account);
        let _daemon = home.start();
        home.wait_state("alice", "watching");
        home.send("alice", "mail", &message("by submission"));
        let sent = home.maildir("alice");
        wait::until(wait::PATIENCE, "the copy", || {
            sent.mailboxes().iter().any(|name| name == "Sent") && sent.count("Sent") == 1
        });
        wait::until(wait::PATIENCE, "the message to arrive", || contents(&home).len() == 1);
    });
}

#[test]
fn the_doctor_finds_a_maildrop_well_or_says_what_is_wrong() {
    Host::start().explain(|host| {
        host.deliver("alice", &message("one"));
        let plain = home(host, |account| account);
        let steps = |found: &[u8]| -> Vec<(String, String)> {
            let found: serde_json::Value = serde_json::from_slice(found).unwrap();
            let steps = found["accounts"][0]["steps"].as_array().unwrap().clone();
            let read = steps.into_iter().filter(|step| {
                let name = step["name"].as_str().unwrap();
                name.starts_with("pop.") || name.starts_with("imap.")
            });
            let text = |step: &serde_json::Value, key: &str| step[key].as_str().unwrap().to_owned();
            read.map(|step| (text(&step, "name"), text(&step, "outcome"))).collect()
        };
        let named = |outcomes: [&str; 6]| -> Vec<(String, String)> {
            let names = ["pop.dns", "pop.tcp", "pop.tls", "pop.greeting", "pop.login", "pop.maildrop"];
            names
                .iter()
                .zip(outcomes)
                .map(|(name, outcome)| ((*name).to_owned(), outcome.to_owned()))
                .collect()
        };
        let well = plain.run(&["doctor", "--json"]);
        assert_eq!(steps(&well.stdout), named(["ok"; 6]));
        let by_stls =
            home(host, |account| Account { pop: Some((host.dovecot.ports.pop, "starttls")), ..account });
        let well = by_stls.run(&["doctor", "--json"]);
        assert_eq!(steps(&well.stdout), named(["ok"; 6]));
        // A certificate of another authority: seen where TLS begins, whether at once or after STLS.
        let stranger = tempfile::NamedTempFile::new().unwrap();
        fs::write(stranger.path(), super::support::authority::Authority::new().pem()).unwrap();
        let stls = Some((host.dovecot.ports.pop, "starttls"));
        for pop in [Some((host.dovecot.ports.pops, "implicit")), stls] {
            let ca = stranger.path().to_owned();
            let strange = home(host, |account| Account { pop, ca, ..account });
            let found = strange.run(&["doctor", "--json"]);
            let skipped = ["ok", "ok", "fail", "skipped", "skipped", "skipped"];
            assert_eq!(steps(&found.stdout), named(skipped), "{pop:?}");
        }
        host.tokens.revoke_access("alice");
        host.tokens.fail("alice", super::support::tokens::Failure::InvalidGrant, 1000);
        let refused = plain.run(&["doctor", "--json"]);
        assert_eq!(steps(&refused.stdout), named(["ok", "ok", "ok", "ok", "skipped", "skipped"]));
        assert_eq!(contents(&plain).len(), 0, "nothing is fetched");
    });
}
