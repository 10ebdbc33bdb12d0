//! How long a mail server may take, in one place, and the rule that tells a slow server from one that is stuck.
//!
//! Three bounds, because each alone has a hole. Silence: not one octet moves. Pace: a server, or a box in between, that
//! lets an octet through every minute is never silent and never done. Bring-up: everything from the look-up of the name
//! to the end of login, because each of its steps may be good and all of them together have no end; the greeting has a
//! bound of its own, because its lack tells of a wrong port. The pace counts only
//! time spent waiting for the socket, so a slow disk on our side costs the server nothing. Pure; the session brings
//! the clock. One deadline for a whole command was rejected: a FETCH of large messages may rightly take an hour.

use std::time::Duration;

/// From the look-up of the name to the end of login. Dialling and TLS alone may take 40 s, and Exchange holds a login
/// back for half a minute when it throttles.
pub const BRING_UP: Duration = Duration::from_secs(120);
/// From the open stream to the greeting: a server that waits for TLS on a port for TLS says nothing, ever.
pub const GREETING: Duration = Duration::from_secs(30);
/// Not one octet, in either direction.
pub const SILENCE: Duration = Duration::from_secs(60);
/// How long the server may take to say good-bye.
pub const GOODBYE: Duration = Duration::from_secs(5);
/// How much waiting the pace is measured over.
const SPAN: Duration = Duration::from_secs(300);
/// What a span of waiting must bring: 1 KiB in 30 s, far below the slowest line that mail is read over.
const LEAST: u64 = 10 * 1024;
/// What a whole response counts for beside its octets: a server that says every 15 s how far it is (Dovecot) is at work.
const RESPONSE: u64 = 1024;
/// How many spans in a row such words may save where next to nothing else comes: an hour.
const SAVED: u32 = 12;

/// What the waiting for one command brought so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    waited: Duration,
    octets: u64,
    responses: u64,
    saved: u32,
}

impl Pace {
    /// A wait and what moved in it; whether waiting on makes sense.
    pub fn waited(&mut self, time: Duration, octets: u64) -> bool {
        self.waited += time;
        self.octets = self.octets.saturating_add(octets);
        if self.waited < SPAN {
            return true;
        }
        let words = self.responses.saturating_mul(RESPONSE);
        let saved = match self.octets >= LEAST {
            true => 0,
            false if self.octets.saturating_add(words) >= LEAST => self.saved + 1,
            false => return false,
        };
        *self = Pace { saved, ..Pace::default() };
        saved <= SAVED
    }

    /// A whole response came.
    pub fn heard(&mut self) {
        self.responses += 1;
    }

    /// A command ended: what comes next is measured anew.
    pub fn ended(&mut self) {
        *self = Pace::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Minutes until the patience ends, of at most a day, with this much in each.
    fn minutes(octets: u64, responses: u32) -> Option<u32> {
        let mut pace = Pace::default();
        (1..=24 * 60).find(|_| {
            (0..responses).for_each(|_| pace.heard());
            !pace.waited(MINUTE, octets)
        })
    }

    #[test]
    fn drops_of_octets_end_the_patience_and_a_thin_stream_does_not() {
        assert_eq!(minutes(1, 0), Some(5));
        assert_eq!(minutes(2047, 0), Some(5));
        assert_eq!(minutes(2048, 0), None);
    }

    #[test]
    fn words_alone_are_borne_for_an_hour() {
        assert_eq!(minutes(60, 1), Some(5), "one line a minute is a drop");
        assert_eq!(minutes(240, 4), Some(65));
        assert_eq!(minutes(2048, 4), None);
    }

    #[test]
    fn many_quick_answers_are_not_slow() {
        let mut pace = Pace::default();
        for _ in 0..1000 {
            assert!(pace.waited(MINUTE / 2, 12));
            pace.ended();
        }
    }
}
