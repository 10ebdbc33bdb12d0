//! What people read: status and reports as text. Pure; the time and the use of colour are passed in.
//!
//! Every text that came from a server is made harmless first. Columns are as wide as their widest cell; trouble stands
//! below its account on lines of its own, because it is what one looks for.

use super::alike::gathered;
use super::output::harmless;
use crate::status::{Account, Mailbox, Outbox, State, Status, Summary};
use jiff::Timestamp;
use textwrap::{WordSeparator, WordSplitter};

/// The daemon and its accounts, on lines of this width where it is known: broken between words, so that what is to be
/// copied stays whole, and the table cut off.
pub fn status(status: &Status, now: Timestamp, in_colour: bool, width: Option<usize>) -> String {
    let since =
        status.since.map(|since| format!(", up {}", span((now - since).get_seconds()))).unwrap_or_default();
    let mut text = format!("posthaste {} (pid {}){since}\n", harmless(&status.version), status.pid);
    if let Some(notice) = &status.notice {
        text.push_str(&indented(&harmless(notice), width));
    }
    if status.accounts.is_empty() {
        text.push_str("no accounts are configured\n");
        return text;
    }
    let mut heading = ["ACCOUNT", "STATE", "HEARD", "WAITING", "DETAIL"].map(str::to_owned);
    let mut rows: Vec<[String; 5]> = status.accounts.iter().map(|account| cells(account, now)).collect();
    let widths = widths(std::iter::once(&heading).chain(&rows));
    if let Some(width) = width {
        let before: usize = widths.iter().take(4).map(|width| width + 2).sum();
        let all = rows.iter_mut().chain([&mut heading]);
        all.for_each(|[.., detail]| cut(detail, width.saturating_sub(before)));
    }
    text.push_str(&line(&heading, &widths, None));
    for (account, row) in status.accounts.iter().zip(&rows) {
        text.push_str(&line(row, &widths, in_colour.then(|| colour(account.state)).flatten()));
        for trouble in troubles(account, now) {
            text.push_str(&indented(&harmless(&trouble), width));
        }
    }
    text
}

/// A line below an account, with what does not fit on lines below it.
fn indented(line: &str, width: Option<usize>) -> String {
    wrapped(line, "  ", "    ", width)
}

/// A line that begins with `head`, and what does not fit on lines that begin with `indent`; broken between words only.
pub(super) fn wrapped(line: &str, head: &str, indent: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return format!("{head}{line}\n") };
    let options = textwrap::Options::new(width)
        .initial_indent(head)
        .subsequent_indent(indent)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::wrap(line, options).iter().map(|line| format!("{line}\n")).collect()
}

/// Cuts a cell off that is wider.
fn cut(cell: &mut String, width: usize) {
    if cell.chars().count() > width {
        let mark = (width > 0).then_some('…');
        *cell = cell.chars().take(width.saturating_sub(1)).chain(mark).collect();
    }
}

/// What a pass would do, a line each, and what that comes to.
pub fn plan(account: &str, text: &str, summary: &Summary) -> String {
    let steps: String = text.lines().map(|line| format!("{account}/{}\n", harmless(line))).collect();
    let Summary { paired, downloaded, uploaded, moved, reflagged, quarantined, removed, held, .. } = *summary;
    let counts = [
        (paired, "to pair"),
        (downloaded, "to fetch"),
        (uploaded, "to upload"),
        (moved, "to move on the server"),
        (reflagged, "to reflag"),
        (quarantined, "to move to quarantine"),
        (removed, "to remove on the server"),
        (held, "deletions held back"),
    ];
    let sum = match (counted(&counts), steps.is_empty()) {
        (Some(counts), _) => format!("{account}: in all {counts}\n"),
        (None, true) if summary.errors.is_empty() => format!("{account}: nothing to do\n"),
        (None, _) => String::new(),
    };
    steps + &sum + &errors(summary)
}

/// What a pass over one account did, on one line and one more for each error.
pub fn report(account: &str, summary: &Summary) -> String {
    let Summary { paired, downloaded, uploaded, moved, reflagged, quarantined, removed, held, .. } = *summary;
    let counts = [
        (downloaded, "fetched"),
        (uploaded, "uploaded"),
        (moved, "moved on the server"),
        (reflagged, "reflagged"),
        (quarantined, "moved to quarantine"),
        (removed, "removed on the server"),
        (held, "deletions held back"),
    ];
    let done = counted(&counts).unwrap_or_else(|| "in step".to_owned());
    let paired = if paired > 0 { format!(", {paired} paired") } else { String::new() };
    let mut text = format!("{account}: {done}{paired}\n{}", errors(summary));
    if held > 0 {
        text.push_str("  hint: posthaste held\n");
    }
    text
}

fn errors(summary: &Summary) -> String {
    let named =
        summary.errors.iter().map(|error| (error.split_once(": ").map_or("", |(name, _)| name), error));
    gathered(named.map(|(mailbox, error)| (mailbox, error.clone())))
        .iter()
        .map(|line| format!("  error: {}\n", harmless(line)))
        .collect()
}

fn cells(account: &Account, now: Timestamp) -> [String; 5] {
    let heard = account.last_contact.map(|heard| format!("{} ago", span((now - heard).get_seconds())));
    let detail = match (account.detail.as_str(), &account.push) {
        ("", Some(push)) => format!("new mail by {push}"),
        (detail, _) => detail.to_owned(),
    };
    [
        harmless(&account.name),
        word(account.state).to_owned(),
        heard.unwrap_or_else(|| "never".to_owned()),
        waiting(account).unwrap_or_else(|| "-".to_owned()),
        harmless(&detail),
    ]
}

fn word(state: State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Connecting => "connecting",
        State::Syncing => "syncing",
        State::Watching => "watching",
        State::Waiting => "waiting",
        State::NeedsLogin => "needs login",
        State::Denied => "denied",
        State::Held => "held",
        State::Stopped => "stopped",
    }
}

/// What waits in the queue and for approval; `None` where nothing does.
fn waiting(account: &Account) -> Option<String> {
    let Outbox { queued, held, uncertain, failed, .. } = account.outbox;
    counted(&[
        (queued.into(), "to send"),
        (held.into(), "held"),
        (uncertain.into(), "perhaps sent"),
        (failed.into(), "refused"),
        (account.deletions_held.into(), "deletions held back"),
    ])
}

/// `3 fetched, 1 uploaded`; `None` where all is zero.
fn counted(counts: &[(u64, &str)]) -> Option<String> {
    let named = counts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = named.map(|(count, what)| format!("{count} {what}")).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn troubles(account: &Account, now: Timestamp) -> Vec<String> {
    let next_try = |next: Timestamp| match (next - now).get_seconds() {
        seconds if seconds > 0 => format!("next try in {}", span(seconds)),
        _ => "next try now".to_owned(),
    };
    let mut lines: Vec<String> = account.error.iter().map(|error| format!("error: {error}")).collect();
    let failed = account.mailboxes.iter().filter_map(|Mailbox { name, error, .. }| {
        Some((name.as_str(), format!("{name}: {}", error.as_ref()?)))
    });
    lines.extend(gathered(failed));
    lines.extend(refused(account));
    lines.extend(account.outbox.next_try.map(|next| format!("to send: {}", next_try(next))));
    lines.extend(account.passed_over.iter().map(|what| format!("outbox: {what} and is not taken")));
    lines.extend(account.next_try.map(next_try));
    lines.extend(account.hint.iter().map(|hint| format!("hint: {hint}")));
    lines
}

/// Where messages are that were refused for good.
fn refused(account: &Account) -> Option<String> {
    let outbox = account.outbox_path.as_ref().filter(|_| account.outbox.failed > 0)?;
    Some(format!("refused: see {outbox}/failed, with the reason beside each message"))
}

/// A length of time in its largest unit, rounded down; never negative, because clocks differ a little.
fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds @ 3_600..86_400 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// Green where all is well, yellow where it will be, red where the user has to act.
fn colour(state: State) -> Option<&'static str> {
    match state {
        State::Watching => Some("\u{1b}[32m"),
        State::Waiting => Some("\u{1b}[33m"),
        State::NeedsLogin | State::Denied | State::Held | State::Stopped => Some("\u{1b}[31m"),
        State::Starting | State::Connecting | State::Syncing => None,
    }
}

fn widths<'a>(rows: impl Iterator<Item = &'a [String; 5]>) -> [usize; 5] {
    rows.fold([0; 5], |widest, row| {
        let mut cells = row.iter().map(|cell| cell.chars().count());
        widest.map(|width| width.max(cells.next().unwrap_or_default()))
    })
}

/// One line of the table; the second cell is the state and takes the colour.
fn line(row: &[String; 5], widths: &[usize; 5], colour: Option<&str>) -> String {
    let padded = row.iter().zip(widths).enumerate().map(|(column, (cell, &width))| {
        let cell = format!("{cell:width$}");
        match colour {
            Some(colour) if column == 1 => format!("{colour}{cell}\u{1b}[0m"),
            _ => cell,
        }
    });
    format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::login_hint;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-22T{time}Z").parse().unwrap()
    }

    fn three_accounts() -> Status {
        let lab = Account {
            name: "lab".into(),
            state: State::Watching,
            last_contact: Some(at("08:09:48")),
            push: Some("idle".into()),
            ..Account::default()
        };
        let work = Account {
            name: "work".into(),
            state: State::NeedsLogin,
            last_contact: Some(at("06:00:00")),
            outbox: Outbox { queued: 2, failed: 1, next_try: Some(at("08:14:10")), ..Outbox::default() },
            outbox_path: Some("/home/a/Outbox/work".into()),
            passed_over: vec!["letter.eml is empty".into()],
            error: Some("invalid_grant: the token\u{1b}[2J was revoked".into()),
            hint: Some(login_hint("work")),
            ..Account::default()
        };
        let home = Account {
            name: "home-office".into(),
            state: State::Waiting,
            detail: "Müll".into(),
            mailboxes: vec![Mailbox {
                name: "Müll".into(),
                error: Some("refused".into()),
                ..Mailbox::default()
            }],
            deletions_held: 30,
            next_try: Some(at("08:10:25")),
            ..Account::default()
        };
        Status {
            version: "0.1.0".into(),
            notice: Some("configuration not reloaded".into()),
            pid: 4711,
            since: Some(at("08:00:00")),
            accounts: vec![lab, work, home],
            ..Status::absent()
        }
    }

    #[test]
    fn a_status_shows_what_each_account_does_and_needs() {
        let expected = "\
posthaste 0.1.0 (pid 4711), up 10m
  configuration not reloaded
ACCOUNT      STATE        HEARD    WAITING                 DETAIL
lab          watching     12s ago  -                       new mail by idle
work         needs login  2h ago   2 to send, 1 refused
  error: invalid_grant: the token\u{fffd}[2J was revoked
  refused: see /home/a/Outbox/work/failed, with the reason beside each message
  to send: next try in 4m
  outbox: letter.eml is empty and is not taken
  hint: run: posthaste login work
home-office  waiting      never    30 deletions held back  Müll
  Müll: refused
  next try in 25s
";
        assert_eq!(status(&three_accounts(), at("08:10:00"), false, None), expected);
    }

    #[test]
    fn lines_fit_the_terminal_and_words_stay_whole() {
        let mut accounts = three_accounts();
        let token = "run: posthaste login work --import < refresh-token.txt";
        accounts.accounts.get_mut(1).unwrap().hint = Some(token.into());
        let narrow = status(&accounts, at("08:10:00"), false, Some(61));
        assert!(narrow.contains("12s ago  -                       n…\n"), "{narrow}");
        assert!(
            narrow.contains("  hint: run: posthaste login work --import <\n    refresh-token.txt\n"),
            "{narrow}"
        );
        let widest = narrow.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(61), "{widest:?}:\n{narrow}");
    }

    #[test]
    fn colour_is_only_added() {
        let plain = status(&three_accounts(), at("08:10:00"), false, None);
        let coloured = status(&three_accounts(), at("08:10:00"), true, None);
        assert!(
            coloured.contains("\u{1b}[32mwatching   \u{1b}[0m") && coloured.contains("\u{1b}[31mneeds login")
        );
        let mut stripped = coloured;
        for code in ["\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[0m"] {
            stripped = stripped.replace(code, "");
        }
        assert_eq!(stripped, plain);
    }

    #[test]
    fn spans_are_short_and_never_negative() {
        assert_eq!(
            [-5, 59, 60, 3_599, 3_600, 86_400, 200_000].map(span),
            ["0s", "59s", "1m", "59m", "1h", "1d", "2d"]
        );
    }

    #[test]
    fn a_report_counts_what_was_done() {
        assert_eq!(report("lab", &Summary::default()), "lab: in step\n");
        let paired = Summary { paired: 12, ..Summary::default() };
        assert_eq!(report("lab", &paired), "lab: in step, 12 paired\n");
        let busy = Summary { downloaded: 3, held: 30, errors: vec!["INBOX: lost".into()], ..paired };
        assert_eq!(
            report("lab", &busy),
            "lab: 3 fetched, 30 deletions held back, 12 paired\n  error: INBOX: lost\n  hint: posthaste held\n"
        );
    }

    #[test]
    fn a_plan_ends_with_what_it_comes_to() {
        let sums =
            Summary { downloaded: 2, uploaded: 1, moved: 4, reflagged: 3, removed: 1, ..Summary::default() };
        assert_eq!(
            plan("lab", "INBOX: fetch message 7\nINBOX: fetch message 8\n", &sums),
            "lab/INBOX: fetch message 7\nlab/INBOX: fetch message 8\n\
             lab: in all 2 to fetch, 1 to upload, 4 to move on the server, 3 to reflag, 1 to remove on the server\n"
        );
        assert_eq!(plan("lab", "", &Summary::default()), "lab: nothing to do\n");
        let lost = Summary { errors: vec!["INBOX: lost".into()], ..Summary::default() };
        assert_eq!(plan("lab", "", &lost), "  error: INBOX: lost\n");
    }
}
