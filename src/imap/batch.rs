//! Commands that belong together, on their way through the window of a session.
//!
//! Pure: [`Session::advance`](super::session::Session::advance) sends them and takes their answers.

use super::session::Tag;
use std::collections::VecDeque;

/// Commands that are sent one after the other, with a few in flight.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) waiting: VecDeque<String>,
    pub(super) flying: Vec<Tag>,
    /// Whether the session was claimed for it.
    pub(super) begun: bool,
}

impl Batch {
    /// These commands, in this order.
    pub(super) fn new(commands: impl IntoIterator<Item = String>) -> Batch {
        Batch { waiting: commands.into_iter().collect(), ..Batch::default() }
    }

    /// Sends nothing more; what is in flight is still to be read.
    pub(super) fn cut_short(&mut self) {
        self.waiting.clear();
    }

    /// Whether the server answered this command before an earlier one.
    pub(super) fn is_overtaken_by(&self, tag: Tag) -> bool {
        self.flying.iter().any(|&flying| flying < tag)
    }
}
