//! What lies before a login: the network, certificates, directories.

use std::fs;
use std::fs::Permissions;
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::Host;
use crate::support::authority::Authority;
use crate::support::listener::Listening;
use crate::support::process::Account;
use crate::visit::{assert_only, beside, ended, examine, found, home_of, in_tls, step};

#[test]
fn a_server_that_cannot_be_reached_is_told_at_the_step_where_it_ends() {
    let host = Host::start();
    let good = Account::of(&host, "alice");
    let closed = Listening::start(drop).port();
    let silent = Listening::start(|mut stream: TcpStream| drop(stream.read_to_end(&mut Vec::new())));
    let after_tcp =
        ["imap.tls", "imap.greeting", "imap.login", "imap.inbox", "imap.capabilities", "imap.mailboxes"];

    let home = home_of(&host, &[Account { imap: (closed, "implicit"), ..good.clone() }]);
    assert_only(&home, "imap.tcp", "nothing answers on port", &after_tcp);

    let config = fs::read_to_string(home.config()).unwrap();
    fs::write(home.config(), config.replacen("host = \"localhost\"", "host = \"mail..test\"", 1)).unwrap();
    let (found, _) = examine(&home, &[]);
    assert_eq!(ended(&found["accounts"][0], "fail"), ["imap.dns"]);

    let plain = Account { imap: (host.dovecot.ports.imap, "implicit"), ..good.clone() };
    assert_only(&home_of(&host, &[plain]), "imap.tls", "set tls = \\\"starttls\\\"", &after_tcp[1..]);

    let hushed = (silent.port(), "implicit");
    let home = home_of(&host, &[Account { imap: hushed, smtp: hushed, ..good }]);
    let (found, code) = examine(&home, &["--timeout", "5"]);
    let account = &found["accounts"][0];
    assert_eq!((code, ended(account, "fail")), (1, vec!["imap.tls", "smtp.tls"]), "{account:#}");
    assert_eq!(step(account, "smtp.tls")["detail"], "no answer within 5 s");
    let skipped = [&after_tcp[1..], &["smtp.greeting", "smtp.login", "smtp.sender"]].concat();
    assert_eq!(ended(account, "skipped"), skipped);
}

#[test]
fn a_certificate_is_told_by_what_is_wrong_with_it() {
    let host = Host::start();
    let stranger = tempfile::NamedTempFile::new().unwrap();
    fs::write(stranger.path(), Authority::new().pem()).unwrap();
    let expired = in_tls(&host.authority.expired(), &[]);
    let wrong_name = in_tls(&host.authority.wrong_name(), &[]);
    let good = Account::of(&host, "alice");
    let after_tls = ["imap.greeting", "imap.login", "imap.inbox", "imap.capabilities", "imap.mailboxes"];
    for (port, words) in [(expired.port(), "has expired"), (wrong_name.port(), "for another name")] {
        let home = home_of(&host, &[Account { imap: (port, "implicit"), ..good.clone() }]);
        assert_only(&home, "imap.tls", words, &after_tls);
    }
    let strange = home_of(&host, &[Account { ca: stranger.path().to_owned(), ..good.clone() }]);
    let without = home_of(&host, &[good]);
    let config = fs::read_to_string(without.config()).unwrap();
    let config: Vec<&str> = config.lines().filter(|line| !line.starts_with("ca = ")).collect();
    fs::write(without.config(), config.join("\n")).unwrap();
    for (home, words) in
        [(strange, "another key"), (without, "issuer of the server's certificate is not known")]
    {
        let (found, code) = examine(&home, &[]);
        let account = &found["accounts"][0];
        assert_eq!((code, ended(account, "fail")), (1, vec!["imap.tls", "smtp.tls"]), "{account:#}");
        for name in ["imap.tls", "smtp.tls"] {
            let step = step(account, name);
            assert!(step["detail"].as_str().unwrap().contains(words), "{step}");
            assert!(step["advice"].as_str().unwrap().contains("`ca`"), "{step}");
        }
    }
}

#[test]
fn a_certificate_of_the_future_casts_doubt_on_the_clock() {
    let host = Host::start();
    let future = in_tls(&host.authority.not_yet_valid(), &[]);
    let imap = (future.port(), "implicit");
    let password = Account { imap, token_url: None, ..Account::of(&host, "alice") };
    // Where the clock is wrong by years, the token endpoint is not heard either.
    let token_url = Some(format!("https://localhost:{}/token", future.port()));
    let home = home_of(&host, &[]);
    home.configure(&[password, Account { imap, token_url, ..Account::of(&host, "bob") }]);
    let (found, code) = examine(&home, &[]);
    assert_eq!(code, 1);
    for account in found["accounts"].as_array().unwrap() {
        let tls = step(account, "imap.tls");
        assert!(tls["detail"].as_str().unwrap().contains("is not yet valid"), "{account:#}");
        let clock = step(account, "clock");
        assert_eq!(clock["outcome"], "warn", "{account:#}");
        let detail = clock["detail"].as_str().unwrap();
        assert!(detail.starts_with("imap.tls met a certificate out of its time; here it is 20"), "{detail}");
        assert!(clock["advice"].as_str().unwrap().contains("timedatectl set-ntp true"), "{clock}");
    }
}

#[test]
fn where_no_server_tells_the_time_the_system_is_asked() {
    let host = Host::start();
    let home = home_of(&host, &[Account { token_url: None, ..Account::of(&host, "alice") }]);
    for (script, outcome) in [("echo yes", Some("ok")), ("echo no", Some("warn")), ("exit 1", None)] {
        let mut command = beside(&home, &["doctor", "--json"], &[("timedatectl", script)]);
        let (found, code) = found(&command.output().unwrap());
        let steps = found["accounts"][0]["steps"].as_array().unwrap();
        let clock = steps.iter().find(|step| step["name"] == "clock");
        assert_eq!((code, clock.map(|step| step["outcome"].as_str().unwrap())), (0, outcome), "{found:#}");
    }
}

#[test]
fn a_directory_that_others_own_or_can_write_is_told_with_the_command_that_mends_it() {
    let host = Host::start();
    let home = home_of(&host, &[Account::of(&host, "alice")]);
    let (maildir, outbox, state) = (home.maildir_path("alice"), home.outbox("alice"), home.state("alice"));
    fs::create_dir_all(&maildir).unwrap();
    fs::create_dir_all(&outbox).unwrap();
    for (directory, failing) in [(&maildir, "maildir"), (&outbox, "outbox")] {
        mode(directory, 0o777);
        assert_only(&home, failing, "chmod 700", &[]);
        mode(directory, 0o500);
        assert_only(&home, failing, "chmod u+rwx", &[]);
        mode(directory, 0o700);
    }
    mode(&state.join("token.json"), 0o644);
    let (found, _) = examine(&home, &[]);
    assert_eq!(ended(&found["accounts"][0], "fail"), ["token", "state"], "{found:#}");
    mode(&state.join("token.json"), 0o600);
    // Only root can give a directory away.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&outbox, Some(65_534), None).unwrap();
        assert_only(&home, "outbox", "belongs to user 65534", &[]);
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}
