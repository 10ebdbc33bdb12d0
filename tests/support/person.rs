//! A person at a consent page, without a browser: fast, for tests where the pages themselves are not in question.

use url::Url;

use super::http::{Response, get, post};

/// What the person does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision<'a> {
    /// Allows everything that is asked.
    Allow,
    /// Unticks one scope and allows the rest.
    AllowWithout(&'a str),
    /// Denies.
    Deny,
}

/// Opens an authorization URL and decides; the redirect that a browser would follow.
pub fn decide(url: &str, decision: Decision<'_>) -> String {
    let page = get(url);
    assert_eq!(page.status, 200, "{}\n{}", page.head, page.body);
    let request = between(&page.body, "name=request value=", ">");
    let user = between(&page.body, "name=user value=\"", "\"");
    let scopes = page.body.split("name=scope value=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut form = vec![("request", request), ("user", user)];
    form.push(("decision", if decision == Decision::Deny { "deny" } else { "allow" }));
    let dropped = |scope: &&str| decision != Decision::AllowWithout(scope);
    form.extend(scopes.filter(dropped).map(|scope| ("scope", scope)));
    let consent = Url::parse(url).unwrap().join("/consent").unwrap();
    let answer = post(consent.as_str(), &form);
    assert_eq!(answer.status, 302, "{}\n{}", answer.head, answer.body);
    answer.header("Location").expect("a redirect").to_owned()
}

/// Decides and follows the redirect, as a browser does; the page that the person ends on.
pub fn visit(url: &str, decision: Decision<'_>) -> Response {
    get(&decide(url, decision))
}

/// Answers the page of a device flow as `user`.
pub fn activate(url: &str, user_code: &str, user: &str, allows: bool) -> Response {
    let decision = if allows { "allow" } else { "deny" };
    post(url, &[("user_code", user_code), ("user", user), ("decision", decision)])
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text.split_once(start).unwrap_or_else(|| panic!("no {start} in {text}")).1;
    rest.split_once(end).unwrap_or_else(|| panic!("no {end} in {text}")).0
}
