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
    help: &'static Help,
}

/// What a hint needs to know of an account.
#[derive(Clone, Debug)]
pub struct Situation {
    /// Its name.
    pub account: String,
    /// Who logs in, and how.
    pub by: By,
    /// Whose login it is.
    pub person: String,
    /// Whose mailbox is opened with it.
    pub mailbox: String,
    /// The command that logs in, as a clause: `run: posthaste login NAME`.
    pub login: String,
    /// Its client.
    pub client_id: Option<String>,
    /// Where an administrator allows that client, if such a page is known.
    pub consent: Option<Url>,
}

/// Who logs in, and how. The same refusal is mended in another way for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A person, by a token for the person's own mailbox.
    Person,
    /// A person, by a token for a mailbox that is shared.
    Delegate,
    /// The program itself: there is nobody to log in.
    Program,
    /// A password.
    Password,
}

/// What helps against a refused login of which nothing more is known, unless by a login.
const DELEGATE: &str = "check that {person} has full access to {mailbox}; if so, {login}";
const PROGRAM: &str =
    "ask the administrator whether the application of account {account} may open the mailbox {mailbox}";
const PASSWORD: &str = "check `user` and the password of account {account}";

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

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Help {
    who: Who,
    title: String,
    remedy: String,
    shared: Option<String>,
    app: Option<String>,
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
            help,
        }
    }

    /// What helps, for this account, as a clause.
    pub fn remedy(&self, situation: &Situation) -> String {
        let told = situation.fill(self.help.remedy_for(situation.by));
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

impl Situation {
    /// What helps against a refused login of which nothing is known.
    pub fn refused(&self) -> String {
        self.fill(match self.by {
            By::Person => "{login}",
            By::Delegate => DELEGATE,
            By::Program => PROGRAM,
            By::Password => PASSWORD,
        })
    }

    fn fill(&self, remedy: &str) -> String {
        let client = self.client_id.as_deref().unwrap_or("(client_id)");
        let consent = self.consent.as_ref().map(|page| format!(": {page}")).unwrap_or_default();
        remedy
            .replace("{login}", &self.login)
            .replace("{account}", &self.account)
            .replace("{person}", &self.person)
            .replace("{mailbox}", &self.mailbox)
            .replace("{client}", client)
            .replace("{consent}", &consent)
    }
}

impl Help {
    fn remedy_for(&self, by: By) -> &str {
        let own = match by {
            By::Person => None,
            By::Delegate => self.shared.as_deref(),
            By::Program => self.app.as_deref().or_else(|| self.remedy.contains("{login}").then_some(PROGRAM)),
            By::Password => self.password.as_deref(),
        };
        own.unwrap_or(&self.remedy)
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

/// A row of the table, for the test that drives each of them through its driver.
#[cfg(test)]
pub(crate) struct Row {
    pub(crate) stage: Stage,
    /// The code, the number or the words.
    pub(crate) key: String,
    help: &'static Help,
    number: Option<u32>,
}

#[cfg(test)]
impl Row {
    /// Whether the advice is this row's.
    pub(crate) fn gave(&self, advice: &Advice) -> bool {
        std::ptr::eq(self.help, advice.help) && (self.number.is_none() || self.number == advice.aadsts)
    }
}

/// Every row, one for each number and each stage that it names.
#[cfg(test)]
pub(crate) fn rows() -> Vec<Row> {
    let Some(answers) = ANSWERS.as_ref() else { return Vec::new() };
    let row = |stage, key: &str, help, number| Row { stage, key: key.to_owned(), help, number };
    let codes = answers.error.iter().map(|it| row(Stage::OAuth, &it.code, &it.help, None));
    let numbers = answers.detail.iter().flat_map(|it| {
        it.aadsts.iter().map(move |&number| row(Stage::OAuth, &number.to_string(), &it.help, Some(number)))
    });
    let described = answers.detail.iter().filter(|it| it.aadsts.is_empty());
    let described = described.map(|it| row(Stage::OAuth, &it.says.join(" "), &it.help, None));
    let texts = answers
        .text
        .iter()
        .flat_map(|it| it.at.iter().map(move |&stage| row(stage, &it.says.join(" "), &it.help, None)));
    codes.chain(numbers).chain(described).chain(texts).collect()
}

#[cfg(test)]
mod tests;
