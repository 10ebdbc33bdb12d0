//! Named units: start, stop, restart, replace. Knows no mail.
