//! Who logs in, with which secret, and where a token may go.

use super::*;

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
        ("127.0.0.1", "smtp.gmail.com", google, "127.0.0.1"),
    ] {
        let refused = own(imap, smtp, token_url).unwrap_err();
        assert!(refused.starts_with("c.toml:5:"), "{refused}");
        assert!(refused.contains(&format!("does not go to {stranger}: ")), "{refused}");
    }
    assert!(own("imap.gmail.com", "smtp.gmail.com", google).is_ok());
    let other = own("imap.x.test", "smtp.x.test", "https://login.x.test/token").unwrap();
    assert_eq!(oauth_of(&other, "a").token_hosts, ["imap.x.test", "smtp.x.test"]);
    // Beside a provider no host can be named, in the file or in the environment.
    let gmail = "[accounts.g]\naddress = \"a@gmail.com\"\noauth = { client_id = \"x\" }\n";
    for server in ["imap", "smtp"] {
        let variable = format!("POSTHASTE_ACCOUNTS__G__{}__HOST", server.to_uppercase());
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
