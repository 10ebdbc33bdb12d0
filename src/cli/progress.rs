//! The progress of a pass, for a person at a terminal; nothing in a pipe.
//!
//! The bar counts octets, because messages differ in size by five orders of magnitude; messages stand beside it.

use super::output::harmless;
use crate::status::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};

/// Octets, rate and time left; fits 80 columns with a short title.
const TEMPLATE: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";

/// One line on stderr that is redrawn.
#[derive(Debug)]
pub struct Bar(Option<ProgressBar>);

impl Bar {
    /// A bar; without effect where stderr is no terminal or the user wants it quiet.
    pub fn new(is_quiet: bool) -> Bar {
        let is_wanted = !is_quiet && io::stderr().is_terminal();
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        Bar(is_wanted.then(|| ProgressBar::no_length().with_style(style)))
    }

    /// Redraws.
    pub fn update(&self, account: &str, progress: &Progress) {
        let Some(bar) = &self.0 else { return };
        bar.set_message(title(account, progress));
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes_done);
    }

    /// Takes the bar away, so that a line can be printed.
    pub fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
            bar.reset();
        }
    }
}

fn title(account: &str, progress: &Progress) -> String {
    let Progress { mailbox, messages_done, messages_total, .. } = progress;
    format!("{account} {} {messages_done}/{messages_total} messages", harmless(mailbox))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_counts_messages_and_is_harmless() {
        let progress = Progress {
            mailbox: "IN\u{7}BOX".into(),
            messages_done: 3,
            messages_total: 9,
            bytes_done: 0,
            bytes_total: 0,
        };
        assert_eq!(title("lab", &progress), "lab IN\u{fffd}BOX 3/9 messages");
    }

    #[test]
    fn the_template_is_understood() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
