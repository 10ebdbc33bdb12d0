//! The base on disk: SQLite.
