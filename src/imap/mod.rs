//! The IMAP driver: wire, parser, session, and the `Remote` of one account.
