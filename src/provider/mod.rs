//! The table of providers.
