//! How long to wait before the next attempt. Pure: the source of randomness is passed in.
//!
//! Exponential with full jitter above a floor: many clients that lost the same server must not return in step.

use std::time::Duration;

/// The law of delays: `floor · 2^attempt`, at most `ceiling`, the upper half of it random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Delay after the first failure.
    pub floor: Duration,
    /// Longest delay.
    pub ceiling: Duration,
}

impl Backoff {
    /// For connections to mail servers: 1 s doubling to 5 min; a user notices longer silences.
    pub const CONNECTION: Backoff =
        Backoff { floor: Duration::from_secs(1), ceiling: Duration::from_secs(300) };

    /// The delay before attempt `attempt` (0 = after the first failure); `random` is uniform in 0..1.
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let factor = 2_u32.saturating_pow(attempt.min(20));
        let whole = self.floor.saturating_mul(factor).min(self.ceiling);
        whole / 2 + (whole / 2).mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_ceiling_and_never_reach_zero() {
        let law = Backoff::CONNECTION;
        assert_eq!(law.delay(0, 1.0), Duration::from_secs(1));
        assert_eq!(law.delay(0, 0.0), Duration::from_millis(500));
        assert_eq!(law.delay(3, 1.0), Duration::from_secs(8));
        assert_eq!(law.delay(u32::MAX, 1.0), Duration::from_secs(300));
    }
}
