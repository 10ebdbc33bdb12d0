//! The composition root: config to units to supervisor; signals, readiness, reload.
