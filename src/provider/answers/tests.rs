//! Each known answer of a provider: what it means, who can change it, and what helps.

use super::*;

const AADSTS: &str = "invalid_grant: AADSTS50173: The provided grant has expired due to it being revoked. \
                      Trace ID: 0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0 Correlation ID: 01234567-89AB-cdef-0123-456789abcdef \
                      Timestamp: 2026-11-22 08:00:00Z";

fn situation() -> Situation {
    Situation {
        account: "work".to_owned(),
        login: "run: posthaste login work".to_owned(),
        by: By::Person,
        person: "a@contoso.com".to_owned(),
        mailbox: "a@contoso.com".to_owned(),
        client_id: Some("app-1".to_owned()),
        consent: Some("https://login.example/t/adminconsent?client_id=app-1".parse().unwrap()),
    }
}

fn answers() -> &'static Answers {
    ANSWERS.as_ref().expect("answers.toml is broken")
}

/// Every help text, with its class where it has one.
fn every_help() -> Vec<(&'static Help, Option<Kind>)> {
    let answers = answers();
    let errors = answers.error.iter().map(|row| (&row.help, Some(row.class)));
    let details = answers.detail.iter().map(|row| (&row.help, None));
    errors.chain(details).chain(answers.text.iter().map(|row| (&row.help, Some(row.class)))).collect()
}

#[test]
fn the_table_can_be_read_and_every_text_is_a_clause() {
    for (help, _) in every_help() {
        let others = [&help.shared, &help.app, &help.password].into_iter().flatten();
        for text in [&help.title, &help.remedy].into_iter().chain(others) {
            assert!(!text.ends_with(['.', ' ']) && !text.contains('\n') && text.len() > 5, "{text}");
            let known = ["{login}", "{account}", "{person}", "{mailbox}", "{client}", "{consent}"];
            let filled = known.iter().fold(text.clone(), |text, name| text.replace(name, ""));
            assert!(!filled.contains(['{', '}']), "{text}");
        }
    }
}

#[test]
fn what_passes_asks_for_nothing_that_must_be_mended_by_a_login() {
    for (help, kind) in every_help() {
        if matches!(kind, Some(Kind::Retry)) {
            assert!(!help.remedy.contains("{login}") && help.who != Who::Administrator, "{}", help.title);
        }
        if matches!(kind, Some(Kind::Denied | Kind::Configuration | Kind::NeedsLogin)) {
            assert!(help.who != Who::Provider, "{}", help.title);
        }
    }
}

#[test]
fn no_row_is_in_the_shadow_of_an_earlier_one() {
    for row in &answers().text {
        for &stage in &row.at {
            let found = explain(stage, &row.says.join(" ")).unwrap();
            assert_eq!(found.title, row.help.title, "{:?}", row.says);
        }
    }
    let mut numbers: Vec<u32> = answers().detail.iter().flat_map(|row| row.aadsts.clone()).collect();
    let all = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), all);
    assert!(answers().text.iter().all(|row| row.says.iter().all(|words| *words == words.to_lowercase())));
}

#[test]
fn only_the_code_decides_the_class() {
    let class = |text: &str| explain(Stage::OAuth, text).map(|advice| advice.class);
    for row in &answers().detail {
        for number in &row.aadsts {
            for (code, expected) in [
                ("invalid_grant", Class::NeedsLogin),
                ("temporarily_unavailable", Class::RETRY),
                ("invalid_client", Class::Configuration),
            ] {
                assert_eq!(class(&format!("{code}: AADSTS{number}: words")), Some(expected), "{number}");
            }
        }
    }
    assert_eq!(class("AADSTS50173: no code"), None);
    assert_eq!(class("something_new: AADSTS50173"), None);
    assert_eq!(class("server_error: the text says invalid_grant"), Some(Class::RETRY));
}

#[test]
fn a_number_chooses_the_help() {
    let advice = explain(Stage::OAuth, AADSTS).unwrap();
    assert_eq!(advice.aadsts, Some(50173));
    assert!(advice.title.contains("password was changed"), "{advice:?}");
    let (one, other) = ("01234567-89ab-cdef-0123-456789abcdef", "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0");
    assert_eq!((advice.correlation.as_deref(), advice.trace.as_deref()), (Some(one), Some(other)));
    let unknown = explain(Stage::OAuth, "invalid_grant: AADSTS99999: new").unwrap();
    assert_eq!(unknown.title, explain(Stage::OAuth, "invalid_grant").unwrap().title);
}

#[test]
fn an_administrator_gets_what_is_needed_to_find_the_attempt() {
    let blocked = AADSTS.replace("50173", "53003");
    let remedy = explain(Stage::OAuth, &blocked).unwrap().remedy(&situation());
    assert!(remedy.contains("ask an administrator") && remedy.contains("application app-1"), "{remedy}");
    assert!(remedy.contains("correlation id 01234567-89ab-cdef-0123-456789abcdef"), "{remedy}");
    let consent = explain(Stage::OAuth, "invalid_grant: AADSTS65001: no consent").unwrap();
    let remedy = consent.remedy(&situation());
    assert!(
        remedy.ends_with("approve application app-1: https://login.example/t/adminconsent?client_id=app-1"),
        "{remedy}"
    );
    let nowhere = Situation { consent: None, client_id: None, ..situation() };
    assert!(
        consent.remedy(&nowhere).ends_with("approve application (client_id)"),
        "{}",
        consent.remedy(&nowhere)
    );
}

#[test]
fn a_consent_page_names_the_client() {
    let page: Url = "https://login.microsoftonline.com/contoso.com/adminconsent".parse().unwrap();
    assert_eq!(
        consent_url(&page, "a b&c").as_str(),
        "https://login.microsoftonline.com/contoso.com/adminconsent?client_id=a+b%26c"
    );
}

#[test]
fn a_password_has_remedies_of_its_own() {
    let by_password = Situation { by: By::Password, ..situation() };
    let refused = explain(Stage::Smtp, "535 5.7.3 Authentication unsuccessful [SN2PR00CA0001]").unwrap();
    assert!(refused.remedy(&situation()).contains("(run: posthaste login work)"));
    assert!(refused.remedy(&by_password).contains("set auth = \"oauth2\" for account work"));
    for row in &answers().text {
        let remedy = row.help.remedy_for(By::Password);
        assert!(!remedy.contains("{login}") || remedy.contains("oauth2"), "{:?}: {remedy}", row.says);
    }
}

#[test]
fn a_program_is_never_told_to_log_in() {
    let program = Situation { by: By::Program, mailbox: "team@contoso.com".into(), ..situation() };
    for (help, _) in every_help() {
        let remedy = program.fill(help.remedy_for(By::Program));
        let asks = remedy.contains("posthaste login") || remedy.contains("log in again");
        assert!(!asks, "{}: {remedy}", help.title);
    }
    let refused = explain(Stage::Imap, "AUTHENTICATE failed.").unwrap().remedy(&program);
    assert!(refused.contains("IMAP.AccessAsApp") && refused.contains("team@contoso.com"), "{refused}");
    assert!(program.refused().contains("may open the mailbox team@contoso.com"), "{}", program.refused());
}

#[test]
fn whoever_reads_a_shared_mailbox_is_told_to_look_at_the_access_first() {
    let shared = Situation { by: By::Delegate, mailbox: "team@contoso.com".into(), ..situation() };
    let access = "a@contoso.com has full access to ";
    for row in answers().text.iter().filter(|row| !row.at.contains(&Stage::Smtp)) {
        let remedy = shared.fill(row.help.remedy_for(By::Delegate));
        let is_in_doubt = remedy.contains("log in as") || remedy == shared.login;
        assert!(!is_in_doubt || remedy.contains(access), "{}: {remedy}", row.help.title);
    }
    assert!(shared.refused().contains(access), "{}", shared.refused());
}

#[test]
fn numbers_are_compared_as_a_whole() {
    assert!(says("535 5.7.3 x", "5.7.3") && says("5.7.3", "5.7.3"));
    assert!(!says("550 5.7.30 x", "5.7.3") && !says("15.7.3", "5.7.3"));
    assert_eq!(aadsts("AADSTS"), None);
    assert_eq!(aadsts("AADSTS99999999999999"), None);
    assert_eq!(aadsts("x AADSTS700082: y"), Some(700_082));
    assert_eq!(identifier("Correlation ID: 1234", "correlation id"), None);
}

#[test]
fn the_same_words_at_another_stage_mean_nothing() {
    assert_eq!(explain(Stage::Smtp, "User is authenticated but not connected."), None);
    assert_eq!(explain(Stage::Imap, "invalid_grant"), None);
    assert_eq!(explain(Stage::Imap, "STATUS completed"), None);
    assert_eq!(explain(Stage::Pop, ""), None);
}

#[test]
fn the_page_for_users_tells_of_every_answer() {
    let page = include_str!("../../../docs/providers.md");
    let tells = |what: &str| assert!(page.contains(what), "docs/providers.md does not tell of {what}");
    answers().error.iter().for_each(|row| tells(&format!("`{}`", row.code)));
    for row in &answers().detail {
        row.aadsts.iter().for_each(|number| tells(&format!("AADSTS{number}")));
    }
    answers().text.iter().flat_map(|row| &row.says).for_each(|words| tells(&format!("“{words}”")));
    every_help().iter().for_each(|(help, _)| tells(&format!("| {} |", help.title)));
}
