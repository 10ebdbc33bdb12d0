//! Readers that do not wait.
