//! Where a login may lead: a code, a secret and a token stay with their issuer.

use super::*;

/// Whether tokens from an endpoint may go to a mail host.
fn may_receive(token_url: &str, host: &str) -> bool {
    let endpoints = vec![("token_url", token_url)];
    table().stray(&Route { endpoints, scopes: Vec::new(), servers: vec![("imap", host)] }).is_none()
}

#[test]
fn tokens_go_to_the_servers_of_the_row_and_only_where_there_are_tokens() {
    for (name, site) in every_site() {
        let hosts = site.token_hosts();
        for server in [&site.imap, &site.pop, &site.smtp].into_iter().flatten() {
            assert_eq!(hosts.contains(&server.host), site.oauth.is_some(), "{name}: {server}");
        }
        let Some(oauth) = &site.oauth else { continue };
        let issuer = oauth.token_url.replace("{tenant}", "common");
        assert!(hosts.iter().all(|host| may_receive(&issuer, host)), "{name}");
        assert!(!may_receive(&issuer, "mail.example.org"), "{name}");
    }
}

#[test]
fn a_users_row_cannot_carry_a_token_to_a_stranger() {
    let evil = "{ host = \"imap.evil.test\", port = 993, tls = \"implicit\" }";
    let (at, message) = refusal(&format!("[gmail]\nimap = {evil}\n"));
    assert_eq!(at, "\"imap.evil.test\"");
    assert!(message.contains("oauth2.googleapis.com") && message.contains("imap.evil.test"), "{message}");
    let (at, _) = refusal(&format!("[microsoft.clouds.dod]\nsmtp = {evil}\n"));
    assert_eq!(at, "\"imap.evil.test\"");
    let new = format!(
        "[x]\nsent = \"append\"\nimap = {evil}\n[x.oauth]\nauthorize_url = \"https://evil.test/\"\n\
                       scopes = {{ imap = [\"mail\"] }}\nflows = [\"code\"]\n"
    );
    let (at, _) = refusal(&format!("{new}token_url = \"https://OAuth2.googleapis.com/token\"\n"));
    assert_eq!(at, "\"imap.evil.test\"");
    assert!(Table::with_user_rows(&format!("{new}token_url = \"https://evil.test/token\"\n")).is_ok());
    let (at, _) = refusal("[fastmail.oauth]\ntoken_url = \"https://oauth2.googleapis.com/token\"\n");
    assert_eq!(at, "\"https://oauth2.googleapis.com/token\"");
    let (at, _) = refusal("[gmail.oauth]\nrevoke_url = \"https://evil.test/revoke\"\n");
    assert_eq!(at, "\"https://evil.test/revoke\"");
}

#[test]
fn an_issuer_is_known_by_every_name() {
    for token_url in [
        "https://oauth2.googleapis.com/token",
        "https://OAuth2.googleapis.com./token",
        "https://accounts.google.com/o/oauth2/token",
        "https://www.googleapis.com/oauth2/v3/token",
    ] {
        assert!(may_receive(token_url, "imap.gmail.com") && may_receive(token_url, "imap.googlemail.com"));
        assert!(!may_receive(token_url, "imap.gmail.com.evil.test"), "{token_url}");
    }
    for (token_url, host) in [
        ("https://login.windows.net/common/oauth2/v2.0/token", "outlook.office365.com"),
        ("https://westus.login.microsoft.com/x/oauth2/v2.0/token", "imap-mail.outlook.com"),
        ("https://login.chinacloudapi.cn/x/oauth2/v2.0/token", "partner.outlook.cn"),
        ("https://oauth.yandex.ru/token", "imap.yandex.ru"),
    ] {
        assert!(may_receive(token_url, host) && !may_receive(token_url, "imap.evil.test"), "{token_url}");
    }
    assert!(may_receive("https://login.windows.net.evil.test/token", "imap.evil.test"), "nobody's token");
}

#[test]
fn every_address_of_a_login_belongs_to_the_issuer_that_one_of_them_names() {
    let google = "https://accounts.google.com/o/oauth2/v2/auth";
    let stray = |endpoints: &[(&'static str, &'static str)], scope: &'static str| {
        let servers = vec![("imap", "imap.gmail.com")];
        table()
            .stray(&Route { endpoints: endpoints.to_vec(), scopes: vec![scope], servers })
            .map(|it| it.keys[1])
    };
    let typo = ("token_url", "https://oauth2.googleapis.co/token");
    assert_eq!(stray(&[typo, ("authorize_url", google)], ""), Some("token_url"));
    assert_eq!(stray(&[typo], "https://mail.google.com/"), Some("token_url"));
    assert_eq!(stray(&[typo], "mail"), None);
    let right = ("token_url", "https://oauth2.googleapis.com/token");
    for key in ["authorize_url", "device_url", "revoke_url"] {
        assert_eq!(stray(&[right, (key, "https://accounts.goog1e.test/x")], ""), Some(key));
    }
    let microsoft = ("authorize_url", "https://login.microsoftonline.com/common/oauth2/v2.0/authorize");
    assert_eq!(stray(&[right, microsoft], ""), Some("authorize_url"));
    let proxy = ("token_url", "http://127.0.0.1:8080/token");
    assert_eq!(stray(&[proxy, ("authorize_url", google)], "https://mail.google.com/"), None);
    let unknown = ("token_url", "https://sso.uni.example/token");
    assert_eq!(stray(&[unknown, ("authorize_url", "https://login.uni.example/")], ""), None);
    assert_eq!(stray(&[unknown, ("revoke_url", "https://sso.uni.example./revoke")], ""), None);
    assert_eq!(stray(&[unknown, ("revoke_url", "https://sso.uni.examp1e/revoke")], ""), Some("revoke_url"));
}

#[test]
fn a_users_row_keeps_a_known_login_whole_and_teaches_nothing_about_issuers() {
    let row = |authorize: &str, token: &str| {
        format!(
            "[x]\nsent = \"append\"\nimap = {{ host = \"imap.gmail.com\", port = 993, tls = \"implicit\" }}\n\
             oauth = {{ authorize_url = \"{authorize}\", token_url = \"{token}\", flows = [\"code\"], scopes = {{}} }}\n"
        )
    };
    let (google, typo) =
        ("https://accounts.google.com/o/oauth2/v2/auth", "https://oauth2.googleapis.co/token");
    let (at, message) = refusal(&row(google, typo));
    assert_eq!(at, format!("\"{typo}\""));
    assert!(message.contains("`authorize_url` points to"), "{message}");
    assert!(Table::with_user_rows(&row(google, "https://www.googleapis.com/oauth2/v4/token")).is_ok());
    let (at, _) = refusal("[yahoo.oauth]\naliases = [\"evil.test\"]\n");
    assert_eq!(at, "[\"evil.test\"]");
}
