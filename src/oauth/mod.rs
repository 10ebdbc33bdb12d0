//! Tokens: the keeper, the store, SASL strings.
