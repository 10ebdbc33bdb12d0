//! Configuration: TOML as typed, then as meant.
