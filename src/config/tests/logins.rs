//! Who logs in, with which secret, and where a token may go.

use super::*;
use crate::net::Endpoint;
use crate::provider::Issuer;

fn oauth_of<'a>(config: &'a Config, name: &str) -> &'a OAuth2 {
    let Auth::OAuth2(oauth) = &config.account(name).unwrap().auth else { panic!("{name} has a password") };
    oauth
}

#[test]
fn a_shared_mailbox_is_opened_by_its_name_with_the_token_of_its_user() {
    let account = |name: &str, lines: &str| {
        format!("[accounts.{name}]\nprovider = \"microsoft\"\n{lines}\noauth = {{ client_id = \"c\" }}\n")
    };
    let team = account("a-team", "address = \"team@x.test\"\nlogin_as = \"Me@x.test\"");
    let sales = account("b-sales", "address = \"sales@x.test\"\nlogin_as = \"me@x.test\"");
    let own = account("me", "address = \"me@x.test\"");
    let stranger = account("other", "address = \"other@x.test\"");
    let config = load(&[team.as_str(), &sales, &own, &stranger].concat());
    let shared = config.account("a-team").unwrap();
    assert_eq!((shared.user.as_str(), shared.login.as_str()), ("team@x.test", "Me@x.test"));
    for name in ["a-team", "b-sales", "me"] {
        assert_eq!(oauth_of(&config, name).token_of, "me", "{name}: the token is kept with the own mailbox");
    }
    assert_eq!(oauth_of(&config, "other").token_of, "other");
    let without_own = load(&[team, sales].concat());
    assert_eq!(oauth_of(&without_own, "b-sales").token_of, "a-team");
    assert!(lab_refusal("login_as = \"x\"").contains("`login_as` has no meaning with auth = \"password\""));
}

#[test]
fn accounts_of_one_token_ask_for_it_alike_and_another_set_of_scopes_is_another_token() {
    let account = |name: &str, oauth: &str| {
        format!(
            "[accounts.{name}]\naddress = \"{name}@x.test\"\nlogin_as = \"me@x.test\"\nimap.host = \"imap.x.test\"\n\
             oauth = {{ client_id = \"c\", token_url = \"https://login.x.test/token\", {oauth} }}\n"
        )
    };
    let config = load(
        &[
            account("a-team", "scopes = [\"send\", \"read\"]"),
            account("b-sales", "scopes = [\"read\"]"),
            account("me", "scopes = [\"read\", \"send\"], client_secret_command = \"pass x\""),
        ]
        .concat(),
    );
    let (own, team) = (oauth_of(&config, "me"), oauth_of(&config, "a-team"));
    assert_eq!((own.token_of.as_str(), &own.scopes[0]), ("me", &"read".to_owned()));
    assert_eq!(
        (&team.token_of, &team.scopes, &team.client_secret),
        (&own.token_of, &own.scopes, &own.client_secret)
    );
    assert_eq!(oauth_of(&config, "b-sales").token_of, "b-sales", "a file and a login of its own");
}

#[test]
fn the_secret_of_a_shared_client_may_stand_at_any_account_of_its_token() {
    let account = |name: &str, secret: &str| {
        format!(
            "[accounts.{name}]\naddress = \"{name}@x.test\"\nlogin_as = \"me@x.test\"\nimap.host = \"imap.x.test\"\n\
             oauth = {{ client_id = \"c\", token_url = \"https://login.x.test/token\"{secret} }}\n"
        )
    };
    let command = |command: &str| format!(", client_secret_command = \"{command}\"");
    for (owners, expected) in [(String::new(), "guest"), (command("owner"), "owner")] {
        let config = load(
            &[account("a-team", ""), account("b-sales", &command("guest")), account("me", &owners)].concat(),
        );
        for name in ["a-team", "b-sales", "me"] {
            let oauth = oauth_of(&config, name);
            assert_eq!(oauth.client_secret, Some(Secret::Command(expected.into())), "{name}");
            let bare = OAuth2 { client_secret: None, needs_secret: true, ..oauth.clone() };
            assert!(bare.missing().unwrap().remedy.contains("[accounts.me.oauth]"), "{name}");
        }
    }
}

#[test]
fn app_passwords_work_where_the_provider_takes_them() {
    let account = |provider: &str| {
        format!(
            "[accounts.a]\naddress = \"a@x.test\"\nprovider = \"{provider}\"\nauth = \"password\"\npassword_command = \"pass\"\n"
        )
    };
    for provider in ["gmail", "yahoo", "aol", "fastmail", "icloud"] {
        let config = load(&account(provider));
        assert!(matches!(config.accounts[0].auth, Auth::Password { .. }), "{provider}");
    }
    for provider in ["microsoft", "outlook"] {
        let message = refusal(&account(provider));
        assert!(message.starts_with("c.toml:4:8: "), "{message}");
        assert!(message.contains("cannot be used with a password"), "{message}");
    }
    let own = |table: &str| {
        let text = LAB.replace("imap = { host = \"mail.test\" }\n", table);
        load_with(&text, &[]).map(drop).map_err(|error| error.to_string())
    };
    for host in
        ["outlook.office365.com", "Outlook.Office365.com.", "imap-mail.outlook.com", "outlook.office365.us"]
    {
        let message = own(&format!("imap = {{ host = \"{host}\" }}\n")).unwrap_err();
        assert!(
            message.starts_with("c.toml:3:8: ") && message.contains("takes no passwords"),
            "{host}: {message}"
        );
    }
    let drop = own("protocol = \"pop3\"\npop = { host = \"outlook.office365.com\" }\n").unwrap_err();
    assert!(drop.contains("takes no passwords"), "{drop}");
    let relayed = "imap = { host = \"mail.test\" }\nsmtp = { host = \"smtp.office365.com\" }\n";
    for allowed in ["imap.host = \"imap.gmail.com\"\n", "imap.host = \"127.0.0.1\"\n", relayed] {
        assert_eq!(own(allowed), Ok(()));
    }
}

#[test]
fn a_token_never_goes_to_a_host_outside_its_providers_list() {
    let own = |imap: &str, smtp: &str, token_url: &str| {
        let text = format!(
            "[accounts.a]\naddress = \"a@x.test\"\nimap.host = \"{imap}\"\nsmtp.host = \"{smtp}\"\n\
             oauth = {{ client_id = \"c\", token_url = \"{token_url}\" }}\n"
        );
        load_with(&text, &[]).map_err(|error| error.to_string())
    };
    let google = "https://oauth2.googleapis.com/token";
    let microsoft = "https://login.microsoftonline.com/common/oauth2/v2.0/token";
    for (imap, smtp, token_url, stranger) in [
        ("imap.gmail.com.evil.test", "smtp.gmail.com", google, "imap.gmail.com.evil.test"),
        ("imap.gmail.com", "smtp.evil.test", google, "smtp.evil.test"),
        ("imap.gmail.com", "smtp.gmail.com", microsoft, "imap.gmail.com"),
    ] {
        let refused = own(imap, smtp, token_url).unwrap_err();
        assert!(refused.contains(&format!(" are not for {stranger}: ")), "{refused}");
    }
    assert!(own("imap.gmail.com", "smtp.gmail.com", google).is_ok());
    let other = own("imap.x.test", "smtp.x.test", "https://login.x.test/token").unwrap();
    assert_eq!(oauth_of(&other, "a").token_hosts, ["imap.x.test", "smtp.x.test"]);
    // Beside a provider no host can be named, in the file or in the environment.
    let by_domain = "[accounts.g]\naddress = \"a@gmail.com\"\noauth = { client_id = \"x\" }\n";
    let gmail = &by_domain.replace("oauth", "provider = \"gmail\"\noauth");
    for server in ["imap", "smtp"] {
        let variable = format!("POSTHASTE_ACCOUNTS__G__{}__HOST", server.to_uppercase());
        assert!(load_with(by_domain, &[(&variable, "evil.test")]).is_err());
        let refused = load_with(gmail, &[(&variable, "evil.test")]).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("the {server} server is known from provider `gmail`")),
            "{refused}"
        );
    }
    let url = load_with(gmail, &[("POSTHASTE_ACCOUNTS__G__OAUTH__TOKEN_URL", "https://evil.test/t")]);
    assert!(url.unwrap_err().to_string().contains("`token_url` is known from provider `gmail`"));
}

#[test]
fn a_login_of_a_known_issuer_stays_with_it() {
    let own = |imap: &str, oauth: &str| {
        let text =
            format!("[accounts.a]\naddress = \"a@x.test\"\nimap.host = \"{imap}\"\noauth = {{ {oauth} }}\n");
        load_with(&text, &[]).map(drop).map_err(|error| error.to_string())
    };
    let (google, scope) = ("token_url = \"https://oauth2.googleapis.com/token\"", "https://mail.google.com/");
    let revoke = |host: &str| format!("{google}, revoke_url = \"https://{host}/revoke\"");
    let message = own("imap.gmail.com", &revoke("oauth2.googleapis.co")).unwrap_err();
    assert!(
        message.starts_with("c.toml:4:75: oauth2.googleapis.co does not belong to oauth2.googleapis.com"),
        "{message}"
    );
    assert_eq!(own("imap.gmail.com", &revoke("oauth2.googleapis.com")), Ok(()));
    let typo = "token_url = \"https://oauth2.googleapis.co/token\"";
    let browser = "authorize_url = \"https://accounts.google.com/o/oauth2/v2/auth\"";
    let message = own("imap.gmail.com", &format!("{typo}, {browser}")).unwrap_err();
    assert!(message.contains("which `authorize_url` points to"), "{message}");
    let message = own("imap.gmail.com", &format!("{typo}, scopes = [\"{scope}\"]")).unwrap_err();
    assert!(message.contains("which `scopes` points to"), "{message}");
    for alias in ["accounts.google.com/o/oauth2", "www.googleapis.com/oauth2/v3", "oauth2.googleapis.com."] {
        let oauth = format!("token_url = \"https://{alias}/token\"");
        assert!(own("imap.evil.test", &oauth).unwrap_err().contains("are not for imap.evil.test"), "{alias}");
    }
    let sso = |revoke: &str| {
        own("imap.x.test", &format!("token_url = \"https://sso.x.test/t\", revoke_url = \"{revoke}\""))
    };
    assert_eq!(sso("https://sso.x.test/r"), Ok(()));
    assert!(sso("https://sso.y.test/r").unwrap_err().contains("tokens of sso.x.test are not for sso.y.test"));
}

#[test]
fn a_draft_cannot_carry_a_token_to_a_stranger() {
    let at = |host: &str| edit::Draft {
        name: "a".into(),
        address: Some("a@x.test".into()),
        incoming: Some(edit::Server {
            at: Some(Endpoint { host: host.into(), port: 993, tls: Tls::Implicit, ca: None }),
            ca: None,
        }),
        issuer: Some(Issuer {
            authorize_url: "https://accounts.google.com/o/oauth2/auth".parse().unwrap(),
            token_url: "https://accounts.google.com/o/oauth2/token".parse().unwrap(),
            scopes: vec!["https://mail.google.com/".into()],
        }),
        ..edit::Draft::default()
    };
    assert!(load_with(&at("imap.googlemail.com").to_toml(), &[]).is_ok());
    assert!(refusal(&at("imap.evil.test").to_toml()).contains("are not for imap.evil.test"));
}

#[test]
fn a_server_of_ones_own_is_asked_with_what_it_wants() {
    let own = |oauth: &str| {
        format!(
            "[accounts.a]\naddress = \"a@x.test\"\nimap.host = \"imap.x.test\"\n[accounts.a.oauth]\ntoken_url = \"https://sso.x.test/t\"\n{oauth}\n"
        )
    };
    let config = load(&own("parameters = { prompt = \"consent\", \"acr.Values\" = \"a \\\"b\\\"\" }"));
    let wanted = [("acr.Values", "a \"b\""), ("prompt", "consent")];
    assert_eq!(
        oauth_of(&config, "a").parameters,
        wanted.map(|(name, value)| (name.into(), value.into())).into()
    );
    assert_eq!(load(&config.accounts[0].to_toml()), config);
    let variable = [("POSTHASTE_ACCOUNTS__A__OAUTH__PARAMETERS__PROMPT", "login")];
    let config = load_with(&own(""), &variable).unwrap();
    assert_eq!(oauth_of(&config, "a").parameters["prompt"], "login");
    for name in ["state", "scope", "code_challenge", "redirect_uri", "client_secret", "login_hint"] {
        let message = refusal(&own(&format!("parameters = {{ {name} = \"x\" }}")));
        assert!(
            message.starts_with("c.toml:6:") && message.contains("is set by each login itself"),
            "{message}"
        );
    }
    let message =
        refusal("[accounts.g]\naddress = \"a@gmail.com\"\noauth.parameters = { prompt = \"none\" }\n");
    assert!(message.contains("`parameters` is known from provider `gmail`"), "{message}");
}

#[test]
fn a_secret_comes_from_one_place() {
    let gmail = "[accounts.g]\naddress = \"a@gmail.com\"\n[accounts.g.oauth]\nclient_id = \"c\"\n";
    let text = format!("{gmail}client_secret_credential = \"secret\"\n");
    let given = load_with(&text, &[("CREDENTIALS_DIRECTORY", "/run/credentials")]).unwrap();
    let secret = |directory: Option<&str>| {
        let directory = directory.map(PathBuf::from);
        Some(Secret::Credential(Credential { name: "secret".into(), directory }))
    };
    assert_eq!(oauth_of(&given, "g").client_secret, secret(Some("/run/credentials")));
    assert_eq!(
        oauth_of(&load(&text), "g").client_secret,
        secret(None),
        "a command outside the unit has none"
    );
    assert!(refusal(&format!("{text}client_secret = \"s\"")).contains("`client_secret` is set as well"));
    for path in ["../x", "a/b", "", ".x"] {
        let text = format!("{gmail}client_secret_credential = \"{path}\"");
        assert!(refusal(&text).contains("and no path"), "{path}");
    }
    let both = lab_refusal("password_credential = \"lab\"");
    assert!(both.contains("`password_command` is set as well"), "{both}");
    let credential = LAB.replace("password_command = \"pass lab\"", "password_credential = \"lab\"");
    assert!(matches!(load(&credential).accounts[0].auth, Auth::Password { secret: Secret::Credential(_) }));
}

#[test]
fn a_provider_brings_what_its_logins_and_servers_need() {
    let config = load("[accounts.g]\naddress = \"a@gmail.com\"\n");
    let Auth::OAuth2(oauth) = &config.accounts[0].auth else { panic!("{config:?}") };
    let parameters = [("access_type", "offline"), ("prompt", "consent")];
    assert_eq!(oauth.parameters, parameters.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    assert_eq!(oauth.revoke_url.as_ref().unwrap().as_str(), "https://oauth2.googleapis.com/revoke");
    assert!(oauth.refused[&Flow::Device].contains("invalid_scope") && oauth.needs_secret);
    let config =
        load("[accounts.w]\naddress = \"a@b.test\"\nprovider = \"microsoft\"\noauth.tenant = \"b.test\"\n");
    let Auth::OAuth2(oauth) = &config.accounts[0].auth else { panic!("{config:?}") };
    let consent = "https://login.microsoftonline.com/b.test/adminconsent";
    assert_eq!(oauth.consent_url.as_ref().unwrap().as_str(), consent);
    assert_eq!(oauth.app_scopes, ["https://outlook.office365.com/.default"]);
    assert!(config.accounts[0].disable.contains("PIPELINING") && !oauth.refused.contains_key(&Flow::Device));
}

#[test]
fn a_trust_anchor_may_stand_beside_a_provider() {
    let text = "[accounts.p]\naddress = \"a@proton.me\"\nauth = \"password\"\npassword_command = \"pass p\"\n\
                imap = { ca = \"~/bridge.pem\" }\n";
    let config = load(text);
    let (account, shown) = (&config.accounts[0], config.accounts[0].to_toml());
    assert_eq!(account.incoming.server().ca, Some(PathBuf::from("/home/a/bridge.pem")));
    assert_eq!(
        (account.incoming.server().to_string().as_str(), account.provider.as_deref()),
        ("127.0.0.1:1143", Some("proton-bridge"))
    );
    assert_eq!(load(&shown), config, "{shown}");
    assert!(refusal(&text.replace("ca =", "port = 1, ca =")).contains("no `host`"), "servers of one's own");
    let pop = load(
        "[accounts.p]\naddress = \"a@fastmail.com\"\nprotocol = \"pop3\"\npop = { ca = \"/ca.pem\", delete_after = \"1d\" }\n",
    );
    assert_eq!(pop.accounts[0].incoming.server().ca, Some(PathBuf::from("/ca.pem")));
    assert_eq!(load(&pop.accounts[0].to_toml()), pop, "{}", pop.accounts[0].to_toml());
}

#[test]
fn a_token_of_a_known_issuer_is_not_for_a_stranger() {
    let own = |host: &str| {
        format!(
            "[accounts.w]\naddress = \"a@b.test\"\nimap = {{ host = \"{host}\" }}\n\
             oauth = {{ token_url = \"https://login.microsoftonline.com/common/oauth2/v2.0/token\" }}\n"
        )
    };
    let message = refusal(&own("outlook.office365.co"));
    assert!(message.starts_with("c.toml:3:17: tokens of login.microsoftonline.com are not for"), "{message}");
    assert!(load_with(&own("outlook.office365.com"), &[]).is_ok() && load_with(&own("::1"), &[]).is_ok());
}

#[test]
fn a_secret_is_refused_where_clients_have_none() {
    for key in ["client_secret", "client_secret_command"] {
        let text = format!(
            "[accounts.f]\naddress = \"a@fastmail.com\"\noauth = {{ client_id = \"x\", {key} = \"y\" }}\n"
        );
        assert!(refusal(&text).contains("are public and have no secret"), "{key}");
    }
}

#[test]
fn rows_beside_the_file_are_providers_too_and_their_mistakes_have_a_place() {
    let directory = tempfile::tempdir().unwrap();
    let (file, rows) = (directory.path().join("config.toml"), directory.path().join("providers.toml"));
    std::fs::write(
        &file,
        "[accounts.u]\naddress = \"a@uni.example\"\nauth = \"password\"\npassword_command = \"x\"\n",
    )
    .unwrap();
    let load = || Config::load(&file, std::iter::empty(), Path::new("/home/a"));
    assert!(load().unwrap_err().to_string().contains("no provider is known"));
    let row = "[uni]\ndomains = [\"uni.example\"]\nsent = \"append\"\nimap = { host = \"m.uni.example\", port = 993, tls = \"implicit\" }\n";
    std::fs::write(&rows, row).unwrap();
    let config = load().unwrap();
    assert_eq!(
        (config.accounts[0].incoming.server().host.as_str(), &config.accounts[0].smtp),
        ("m.uni.example", &None)
    );
    std::fs::write(&rows, row.replace("implicit", "none")).unwrap();
    let error = load().unwrap_err();
    assert!(error.to_string().contains("providers.toml:4:52: `none` is possible only"), "{error}");
    assert!(error.excerpt().unwrap().contains("tls = \"none\""), "{error:?}");
    assert_eq!(crate::error::Classified::class(&error), crate::error::Class::Configuration);
}
