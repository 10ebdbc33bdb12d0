//! The outbox and the queue of accepted submissions.
