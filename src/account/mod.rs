//! The worker of one account: the only place where drivers meet.
