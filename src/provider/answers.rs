//! What known answers of providers mean, and what helps: the help texts behind `status` and `doctor`.
//!
//! The facts are data in `answers.toml`. Invariant: of OAuth2 only the code (`error`) decides a class; the numbers of
//! Microsoft and the words of a description choose the help text and nothing else, because both change without notice.
//! Pure; no IO, no clock. What an answer does to an account is decided by the drivers; a test in `account` compares.

use crate::error::Class;
use serde::Deserialize;
use std::sync::LazyLock;
use url::Url;

/// The embedded table; `None` only in a build whose table is broken, which a test refuses.
static ANSWERS: LazyLock<Option<Answers>> =
    LazyLock::new(|| toml::from_str(include_str!("answers.toml")).ok());

/// Where an answer was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// At a token, authorization or device endpoint: the text holds the code, and the description behind it.
    OAuth,
    /// By an IMAP server.
    Imap,
    /// By a POP3 server.
    Pop,
    /// By a submission server.
    Smtp,
}

/// Who can change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// The user.
    You,
    /// An administrator of the organisation.
    Administrator,
    /// The provider: there is nothing to do but to wait.
    Provider,
}

/// What a known answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What the program does about it.
    pub class: Class,
    /// What it means, as a clause.
    pub title: &'static str,
    /// Who can change it.
    pub who: Who,
    /// Microsoft's number of the cause, where the answer names one.
    pub aadsts: Option<u32>,
    /// By which an administrator finds the attempt in the sign-in log.
    pub correlation: Option<String>,
    /// By which Microsoft finds it.
    pub trace: Option<String>,
    remedy: &'static str,
    password: Option<&'static str>,
}

/// What a hint needs to know of an account.
#[derive(Clone, Debug)]
pub struct Situation {
    /// Its name.
    pub account: String,
    /// The command that logs it in, as a clause: `run: posthaste login NAME`.
    pub login: String,
    /// Whether it logs in by a password.
    pub has_password: bool,
    /// Its client.
    pub client_id: Option<String>,
    /// Where an administrator allows that client, if such a page is known.
    pub consent: Option<Url>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answers {
    error: Vec<Code>,
    detail: Vec<Detail>,
    text: Vec<Text>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
    class: Kind,
    #[serde(flatten)]
    help: Help,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    aadsts: Vec<u32>,
    #[serde(default)]
    says: Vec<String>,
    #[serde(flatten)]
    help: Help,
}

#[derive(Deserialize)]
struct Text {
    at: Vec<Stage>,
    says: Vec<String>,
    class: Kind,
    #[serde(flatten)]
    help: Help,
}

#[derive(Deserialize)]
struct Help {
    who: Who,
    title: String,
    remedy: String,
    password: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Retry,
    NeedsLogin,
    Denied,
    Configuration,
    GiveUp,
}

/// What an answer means; `None` where it is not known.
pub fn explain(stage: Stage, text: &str) -> Option<Advice> {
    let answers = ANSWERS.as_ref()?;
    let folded = text.to_lowercase();
    if stage == Stage::OAuth {
        let code = code(answers, text)?;
        let number = aadsts(text);
        let detail = answers.detail.iter().find(|detail| detail.matches(number, &folded));
        let help = detail.map_or(&code.help, |detail| &detail.help);
        return Some(Advice::new(code.class, help, text));
    }
    let is_it = |row: &&Text| row.at.contains(&stage) && row.says.iter().all(|words| says(&folded, words));
    answers.text.iter().find(is_it).map(|row| Advice::new(row.class, &row.help, text))
}

/// Microsoft's number in a description: `AADSTS50076: …`.
pub fn aadsts(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("AADSTS")?;
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// Where an administrator lets a client in, from the provider's page for that.
pub fn consent_url(page: &Url, client_id: &str) -> Url {
    let mut url = page.clone();
    url.query_pairs_mut().append_pair("client_id", client_id);
    url
}

impl Advice {
    fn new(class: Kind, help: &'static Help, text: &str) -> Advice {
        Advice {
            class: class.into(),
            title: &help.title,
            who: help.who,
            aadsts: aadsts(text),
            correlation: identifier(text, "correlation id"),
            trace: identifier(text, "trace id"),
            remedy: &help.remedy,
            password: help.password.as_deref(),
        }
    }

    /// What helps, for this account, as a clause.
    pub fn remedy(&self, situation: &Situation) -> String {
        let remedy = self.password.filter(|_| situation.has_password).unwrap_or(self.remedy);
        let client = situation.client_id.as_deref().unwrap_or("(client_id)");
        let consent = situation.consent.as_ref().map(|page| format!(": {page}")).unwrap_or_default();
        let told = remedy
            .replace("{login}", &situation.login)
            .replace("{account}", &situation.account)
            .replace("{client}", client)
            .replace("{consent}", &consent);
        match (&self.correlation, self.who) {
            (Some(id), Who::Administrator) => {
                format!("{told} (the sign-in log has it under correlation id {id})")
            }
            _ => told,
        }
    }

    /// What it means and what helps, in one sentence.
    pub fn hint(&self, situation: &Situation) -> String {
        format!("{}; {}", self.title, self.remedy(situation))
    }
}

impl Detail {
    fn matches(&self, number: Option<u32>, folded: &str) -> bool {
        number.is_some_and(|number| self.aadsts.contains(&number))
            || (!self.says.is_empty() && self.says.iter().all(|words| says(folded, words)))
    }
}

impl From<Kind> for Class {
    fn from(kind: Kind) -> Class {
        match kind {
            Kind::Retry => Class::RETRY,
            Kind::NeedsLogin => Class::NeedsLogin,
            Kind::Denied => Class::Denied,
            Kind::Configuration => Class::Configuration,
            Kind::GiveUp => Class::GiveUp,
        }
    }
}

/// The first word of the text that is a known code: it stands before the description.
fn code(answers: &'static Answers, text: &str) -> Option<&'static Code> {
    let words = text.split(|character: char| !character.is_ascii_lowercase() && character != '_');
    words.filter(|word| !word.is_empty()).find_map(|word| answers.error.iter().find(|row| row.code == word))
}

/// Whether words occur, where a number is not part of a longer one: 5.7.3 is not in 5.7.30.
fn says(folded: &str, words: &str) -> bool {
    folded.match_indices(words).any(|(start, found)| {
        let digit = |character: Option<char>| character.is_some_and(|character| character.is_ascii_digit());
        let (before, after) = (folded.get(..start), folded.get(start + found.len()..));
        let joins_before =
            digit(words.chars().next()) && digit(before.and_then(|text| text.chars().next_back()));
        let joins_after =
            digit(words.chars().next_back()) && digit(after.and_then(|text| text.chars().next()));
        !joins_before && !joins_after
    })
}

/// A UUID behind a name and a colon: `Correlation ID: 4a6d…`.
fn identifier(text: &str, name: &str) -> Option<String> {
    let folded = text.to_ascii_lowercase();
    let (_, rest) = folded.split_once(name)?;
    let plain = |character: &char| character.is_ascii_hexdigit() || *character == '-';
    let id: String = rest.trim_start_matches([':', ' ']).chars().take_while(plain).collect();
    (id.len() == 36).then_some(id)
}

#[cfg(test)]
mod tests;
