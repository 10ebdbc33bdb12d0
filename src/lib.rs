//! # posthaste
//!
//! Keeps a person's mailboxes in Maildir and sends what they drop in an outbox folder. Both halves are the same
//! three steps, *observe, plan, apply*: the plan is a value computed by pure code, and everything that touches the
//! world is a driver at the edge.
//!
//! | layer | modules | may import |
//! |---|---|---|
//! | 0 | [`mail`] [`error`] [`backoff`] [`status`] [`ownership`] [`application`] [`keeping`] | nothing above |
//! | 1 | [`sync`] and the pure leaves inside drivers | `mail error` |
//! | 2 | [`net`] [`disk`] [`command`] [`task`] [`lock`] | `error` |
//! | 3 | [`imap`] [`pop`] [`smtp`] [`maildir`] [`ledger`] [`queue`] [`oauth`] [`provider`] [`supervisor`] [`control`] [`config`] | below; never each other |
//! | 4 | [`account`]: the only place where drivers meet | 0–3 but `supervisor` and `control` |
//! | 4 | [`doctor`]: what works and what does not, from DNS to MAIL FROM | 0–3 but `supervisor` and `control`, and `account` |
//! | 5 | [`daemon`]: composition, signals, readiness | 0–4 |
//! | 6 | [`cli`]: the only place that prints or reads the environment | all |
//!
//! Architecture invariants, kept by `tests/layers.rs`: drivers never import each other; only `net` opens TCP; only
//! `daemon` handles signals; only `cli` prints; pure code takes `now` as an argument.

pub mod account;
pub mod application;
pub mod backoff;
pub mod cli;
pub mod command;
pub mod config;
pub mod control;
pub mod daemon;
pub mod disk;
pub mod doctor;
pub mod error;
pub mod imap;
pub mod keeping;
pub mod ledger;
pub mod lock;
pub mod mail;
pub mod maildir;
pub mod net;
pub mod oauth;
pub mod ownership;
pub mod pop;
pub mod provider;
pub mod queue;
pub mod smtp;
pub mod status;
pub mod supervisor;
pub mod sync;
pub mod task;
