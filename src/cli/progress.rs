//! The progress of a pass, for a person at a terminal; nothing in a pipe.
//!
//! The bar counts octets, because messages differ in size by five orders of magnitude; messages stand beside it.

use super::output::harmless;
use crate::status::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal};

/// Octets, rate and time left; fits 80 columns with a short title.
const TEMPLATE: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";

/// One line on stderr that is redrawn. It stands only between an update and the next line that is printed: a bar kept
/// for later would draw itself once more, empty, in front of that line.
#[derive(Debug)]
pub struct Bar {
    is_wanted: bool,
    line: Option<ProgressBar>,
}

impl Bar {
    /// A bar; without effect where stderr is no terminal or the user wants it quiet.
    pub fn new(is_quiet: bool) -> Bar {
        Bar { is_wanted: !is_quiet && io::stderr().is_terminal(), line: None }
    }

    /// Redraws.
    pub fn update(&mut self, account: &str, progress: &Progress) {
        if !self.is_wanted {
            return;
        }
        let bar = self.line.get_or_insert_with(|| ProgressBar::no_length().with_style(style()));
        bar.set_message(title(account, progress));
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes_done);
    }

    /// Takes the bar away, so that a line can be printed.
    pub fn clear(&mut self) {
        if let Some(bar) = self.line.take() {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar())
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
