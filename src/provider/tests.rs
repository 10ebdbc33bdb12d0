//! The built-in rows are complete, and a user's rows can do what they should and nothing else.

mod issuers;

use super::*;
use crate::net::Tls;

const TABLE: &str = include_str!("provider.toml");

fn table() -> Table {
    Table::built_in().unwrap()
}

/// Every installation with its name.
fn every_site() -> Vec<(String, Site)> {
    let table = table();
    let sites = |row: &Provider| {
        let clouds = row.clouds.iter().map(|(cloud, site)| (format!("{} {cloud}", row.name), site.clone()));
        std::iter::once((row.name.clone(), row.site.clone())).chain(clouds).collect::<Vec<_>>()
    };
    table.iter().flat_map(sites).collect()
}

fn refusal(text: &str) -> (String, String) {
    match Table::with_user_rows(text).unwrap_err() {
        Error::Written { span, message } => (text[span].to_owned(), message),
        broken @ Error::BuiltIn(_) => panic!("{broken}"),
    }
}

#[test]
fn the_table_has_the_promised_rows() {
    let names = "aol fastmail gmail icloud mailru microsoft outlook proton-bridge yahoo yandex";
    assert_eq!(table().names().join(" "), names);
    let microsoft = table().by_name("microsoft").unwrap().clone();
    assert_eq!(microsoft.clouds.keys().map(String::as_str).collect::<Vec<_>>(), ["china", "dod", "us-gov"]);
}

#[test]
fn every_server_is_reached_by_tls_and_known_by_name() {
    for (name, site) in every_site() {
        assert!(site.imap.is_some() && site.smtp.is_some(), "{name}");
        for server in [&site.imap, &site.pop, &site.smtp].into_iter().flatten() {
            assert!(server.tls != Tls::None && server.host.contains('.'), "{name}: {server}");
            let is_address = server.host.parse::<std::net::IpAddr>().is_ok();
            assert_eq!(is_address, name == "proton-bridge", "{name}: {server}");
            let usual = match server.port {
                993 | 995 | 465 => Tls::Implicit,
                _ => Tls::StartTls,
            };
            assert_eq!(server.tls, usual, "{name}: {server}");
        }
    }
}

#[test]
fn every_oauth_row_is_complete() {
    for (name, site) in every_site() {
        let Some(oauth) = &site.oauth else { continue };
        let urls = [&oauth.device_url, &oauth.revoke_url, &oauth.consent_url, &oauth.register_url];
        let urls = urls.into_iter().flatten().chain([&oauth.authorize_url, &oauth.token_url]);
        assert!(urls.clone().all(|url| url.starts_with("https://")), "{name}");
        assert_eq!(oauth.token_url.contains("{tenant}"), oauth.tenant.is_some(), "{name}");
        assert!(urls.clone().all(|url| !url.contains("{tenant}") || oauth.tenant.is_some()), "{name}");
        let per_protocol = [(&site.imap, &oauth.scopes.imap), (&site.pop, &oauth.scopes.pop)];
        for (server, scopes) in per_protocol.into_iter().chain([(&site.smtp, &oauth.scopes.smtp)]) {
            assert_eq!(server.is_some(), !scopes.is_empty(), "{name}");
        }
        assert!(oauth.why_not(Flow::Code).is_none(), "{name}");
        assert_eq!(oauth.why_not(Flow::Device).is_none(), oauth.device_url.is_some(), "{name}");
        assert_eq!(oauth.why_not(Flow::Device).is_none(), !oauth.refused.contains_key(&Flow::Device));
        let acts_alone =
            [Flow::Client, Flow::ServiceAccount].iter().any(|flow| oauth.why_not(*flow).is_none());
        assert_eq!(acts_alone, !oauth.scopes.app.is_empty(), "{name}");
        assert!(["http://localhost", "http://127.0.0.1"].contains(&oauth.redirect.as_str()), "{name}");
    }
}

#[test]
fn no_scope_is_one_of_graph() {
    for (name, site) in every_site() {
        let Some(Scopes { imap, pop, smtp, always, app }) = site.oauth.map(|oauth| oauth.scopes) else {
            continue;
        };
        let all = [imap, pop, smtp, always, app].concat();
        assert!(all.iter().all(|scope| !scope.contains("graph.microsoft.com")), "{name}");
    }
}

#[test]
fn scopes_are_those_of_the_protocols_in_use_each_once() {
    let scopes = |name: &str, protocols: &[Protocol]| {
        table().by_name(name).unwrap().site.oauth.as_ref().unwrap().scopes.for_person(protocols)
    };
    assert_eq!(scopes("gmail", &[Protocol::Imap, Protocol::Smtp]), ["https://mail.google.com/"]);
    assert_eq!(
        scopes("microsoft", &[Protocol::Pop, Protocol::Smtp]),
        [
            "https://outlook.office.com/POP.AccessAsUser.All",
            "https://outlook.office.com/SMTP.Send",
            "offline_access"
        ]
    );
}

#[test]
fn a_domain_and_an_exchanger_belong_to_one_provider() {
    let (mut domains, mut exchangers) = (Vec::new(), Vec::new());
    for row in table().iter() {
        domains.extend(row.domains.clone());
        exchangers.extend(row.sites().flat_map(|site| site.mx.clone()));
        assert!(row.domains.iter().all(|domain| *domain == domain.to_lowercase()), "{}", row.name);
    }
    for mut names in [domains, exchangers] {
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}

#[test]
fn what_is_marked_as_unverified_is_a_key_of_the_row() {
    let rows: toml::Table = toml::from_str(TABLE).unwrap();
    for row in table().iter() {
        for key in &row.unverified {
            let mut keys = key.split('.');
            let found = keys.try_fold(&rows[&row.name], |value, key| value.get(key));
            assert!(found.is_some(), "{}: {key}", row.name);
        }
    }
}

#[test]
fn a_password_is_the_only_way_exactly_where_there_is_no_oauth() {
    for row in table().iter() {
        let only = matches!(row.passwords, Passwords::Only { .. });
        assert_eq!(only, row.site.oauth.is_none(), "{}", row.name);
    }
    for name in ["microsoft", "outlook"] {
        assert!(
            matches!(&table().by_name(name).unwrap().passwords, Passwords::Refused { why } if !why.is_empty())
        );
    }
}

#[test]
fn providers_are_found_by_name_and_by_domain() {
    let table = table();
    assert_eq!(table.by_domain("GMail.com").unwrap().name, "gmail");
    assert_eq!(table.by_domain("hotmail.com").unwrap().name, "outlook");
    assert_eq!(table.by_domain("example.org"), None);
    assert_eq!(table.by_name("gmial"), None);
}

#[test]
fn a_hosted_domain_is_recognised_by_its_exchangers() {
    let table = table();
    let found = |exchangers: &[&str]| {
        let Hosted { provider, cloud } = table.by_mx(exchangers)?;
        Some(cloud.map_or(provider.name.clone(), |cloud| format!("{} {cloud}", provider.name)))
    };
    for (exchanger, expected) in [
        ("aspmx.l.google.com", "gmail"),
        ("ALT1.ASPMX.L.GOOGLE.COM.", "gmail"),
        ("aspmx2.googlemail.com", "gmail"),
        ("contoso-com.mail.protection.outlook.com", "microsoft"),
        ("contoso-com.a-v1.mx.microsoft", "microsoft"),
        ("contoso-us.mail.protection.office365.us", "microsoft us-gov"),
        ("contoso-cn.mail.protection.partner.outlook.cn", "microsoft china"),
        ("outlook-com.olc.protection.outlook.com", "outlook"),
        ("mta5.am0.yahoodns.net", "yahoo"),
        ("mx-aol.mail.gm0.yahoodns.net", "aol"),
        ("in1-smtp.messagingengine.com", "fastmail"),
        ("mx.yandex.net", "yandex"),
        ("emx.mail.ru", "mailru"),
        ("mx01.mail.icloud.com", "icloud"),
        ("mail.protonmail.ch", "proton-bridge"),
    ] {
        assert_eq!(found(&[exchanger]).as_deref(), Some(expected), "{exchanger}");
    }
    assert_eq!(found(&["mx.filter.example", "aspmx.l.google.com"]).as_deref(), Some("gmail"));
    assert_eq!(found(&["mx.evilgoogle.com"]), None);
    assert_eq!(found(&["aspmx.l.google.com.evil.test"]), None);
    assert_eq!(found(&[]), None);
}

#[test]
fn a_user_adds_a_row() {
    let table = Table::with_user_rows(
        "[uni]\ndomains = [\"uni.example\"]\nmx = [\"mx.uni.example\"]\nsent = \"append\"\n\
         imap = { host = \"imap.uni.example\", port = 993, tls = \"implicit\" }\n\
         [uni.oauth]\nauthorize_url = \"https://sso.uni.example/auth\"\ntoken_url = \"https://sso.uni.example/token\"\n\
         scopes = { imap = [\"mail\"] }\nflows = [\"code\"]\n",
    )
    .unwrap();
    let uni = table.by_domain("uni.example").unwrap();
    assert_eq!(uni.site.token_hosts(), ["imap.uni.example"]);
    assert_eq!(table.by_mx(&["a.mx.uni.example"]).unwrap().provider, uni);
    assert_eq!(uni.site.oauth.as_ref().unwrap().redirect, "http://127.0.0.1");
    assert!(table.by_name("gmail").is_some());
}

#[test]
fn a_user_changes_single_keys_of_a_row() {
    let table = Table::with_user_rows(
        "[microsoft]\ndomains = [\"contoso.com\"]\ndisable = []\n[microsoft.oauth]\ntenant = \"contoso.com\"\n\
         [microsoft.clouds.dod]\nsmtp = { host = \"smtp-dod.office365.us\", port = 587, tls = \"starttls\" }\n",
    )
    .unwrap();
    let row = table.by_domain("contoso.com").unwrap();
    let oauth = row.site.oauth.as_ref().unwrap();
    assert_eq!((oauth.tenant.as_deref(), oauth.redirect.as_str()), (Some("contoso.com"), "http://localhost"));
    assert!(row.disable.is_empty() && row.clouds.len() == 3);
    assert_eq!(
        row.in_cloud("dod").unwrap().token_hosts(),
        ["outlook-dod.office365.us", "smtp-dod.office365.us"]
    );
}

#[test]
fn a_users_row_keeps_secrets_off_the_wire() {
    let mail = |imap: &str| format!("[x]\nsent = \"append\"\nimap = {imap}\n");
    let server =
        |host: &str, tls: &str| mail(&format!("{{ host = \"{host}\", port = 143, tls = \"{tls}\" }}"));
    assert_eq!(refusal(&server("mail.test", "none")).0, "\"none\"");
    assert!(Table::with_user_rows(&server("127.0.0.1", "none")).is_ok());
    assert_eq!(refusal(&server("mail.test:143", "implicit")).0, "\"mail.test:143\"");
    for url in ["http://mail.test/", "ftp://mail.test/", "mail.test", "https://{tenant}.test/"] {
        let (at, _) = refusal(&format!("[fastmail.oauth]\ndevice_url = \"{url}\"\n"));
        assert_eq!(at, format!("\"{url}\""));
    }
    assert!(Table::with_user_rows("[fastmail.oauth]\ndevice_url = \"http://[::1]:8/\"\n").is_ok());
    for redirect in ["http://evil.test", "http://127.0.0.1:80", "https://localhost"] {
        let (at, _) = refusal(&format!("[fastmail.oauth]\nredirect = \"{redirect}\"\n"));
        assert_eq!(at, format!("\"{redirect}\""));
    }
}

#[test]
fn what_is_missing_or_unknown_in_a_row_is_named() {
    let lacks = |text: &str| refusal(text).1;
    assert_eq!(refusal("[ y ]\nsent = \"append\"\n").0, "y");
    assert!(lacks("[y]\nsent = \"append\"\n").contains("provider `y` has no `imap`"));
    assert!(lacks("[y]\nimap = { host = \"a.b\", port = 1, tls = \"implicit\" }\n").contains("no `sent`"));
    assert!(lacks("[gmail]\nimpa = 1\n").contains("unknown field `impa`"));
    assert!(lacks("[gmail]\nimap = { host = \"a.b\" }\n").contains("missing field `port`"));
    assert!(lacks("[icloud.oauth]\ntoken_url = \"https://a.b/\"\n").contains("`authorize_url`"));
    assert!(lacks("[fastmail.oauth]\ntoken_url = \"https://a.b/{tenant}\"\n").contains("`tenant`"));
    assert!(lacks("[\"a b\"]\n").contains("no provider name"));
    assert!(lacks("[gmail\n").len() > 3);
}

#[test]
fn a_users_row_cannot_set_what_each_login_sets() {
    let (at, message) = refusal("[fastmail.oauth]\nparameters = { prompt = \"consent\", state = \"x\" }\n");
    assert!(at == "state" && message.contains("set by each login"), "{at}: {message}");
    let table = Table::with_user_rows("[fastmail.oauth]\nparameters = { prompt = \"consent\" }\n").unwrap();
    let oauth = table.by_name("fastmail").unwrap().site.oauth.as_ref().unwrap();
    assert_eq!(oauth.parameters["prompt"], "consent");
}

#[test]
fn names_tell_uses_in_any_case() {
    let text = "[fastmail]\nspecial_use = { sent = [\"Wysłane\"], trash = [\"KOSZ\"] }\n";
    let table = Table::with_user_rows(text).unwrap();
    let uses = &table.by_name("fastmail").unwrap().special_use;
    assert_eq!((uses.get("wysłane"), uses.get("kosz")), (Some(&SpecialUse::Sent), Some(&SpecialUse::Trash)));
    assert!(refusal("[fastmail]\nspecial_use = { snet = [] }\n").1.contains("snet"));
}

#[test]
fn the_page_for_users_tells_of_every_provider() {
    let page = include_str!("../../docs/providers.md");
    let tells = |what: &str| assert!(page.contains(what), "docs/providers.md does not tell of {what}");
    for row in table().iter() {
        tells(&format!("`{}`", row.name));
        if let Passwords::Allowed { at: Some(at) } | Passwords::Only { at: Some(at) } = &row.passwords {
            tells(&format!("<{at}>"));
        }
        let Some(oauth) = &row.site.oauth else { continue };
        let scopes = oauth.scopes.for_person(&[Protocol::Imap, Protocol::Pop, Protocol::Smtp]);
        scopes.iter().for_each(|scope| tells(&format!("`{scope}`")));
        oauth.register_url.iter().for_each(|url| tells(&format!("<{url}>")));
        for (cloud, site) in &row.clouds {
            tells(&format!("`{cloud}`"));
            site.token_hosts().iter().for_each(|host| tells(host));
        }
    }
}

#[test]
fn the_page_for_users_tells_every_limit() {
    let (_, page) = include_str!("../../docs/providers.md").split_once("\n## Limits\n").unwrap();
    for row in table().iter() {
        let (named, limits) = (row.title.split([' ', ',']).next().unwrap(), row.limits);
        let line = page.lines().find(|line| line.starts_with(&format!("| {named}"))).unwrap_or_default();
        let numbers: Vec<String> =
            line.split(|it: char| !it.is_ascii_digit() && it != ' ').map(|it| it.replace(' ', "")).collect();
        let often = [limits.messages_per_minute, limits.messages_per_day, limits.recipients_per_day];
        let once = [limits.connections, limits.submission_connections, limits.recipients_per_message];
        let megabytes = [limits.downloaded_bytes_per_day, limits.uploaded_bytes_per_day];
        let megabytes = megabytes.map(|bytes| bytes.map(|bytes| bytes / 1_000_000));
        let counts = often.into_iter().chain(once).flatten().map(u64::from);
        for number in counts.chain(megabytes.into_iter().flatten()).chain(limits.message_bytes) {
            assert!(numbers.contains(&number.to_string()), "{}: {number} in {line}", row.name);
        }
    }
}
