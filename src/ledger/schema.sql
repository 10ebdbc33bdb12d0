-- Whose mailboxes these are: one row.
CREATE TABLE owner (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL
) STRICT;

CREATE TABLE mailbox (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    special_use TEXT,
    device INTEGER,
    inode INTEGER,
    uid_validity INTEGER,
    marks_uid_validity INTEGER,
    marks_uid_next INTEGER,
    marks_messages INTEGER,
    marks_modseq INTEGER,
    absent INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE message (
    mailbox INTEGER NOT NULL REFERENCES mailbox (id),
    uid INTEGER NOT NULL,
    name TEXT NOT NULL,
    flags INTEGER NOT NULL,
    size INTEGER NOT NULL,
    identity BLOB NOT NULL,
    strong INTEGER NOT NULL,
    state INTEGER NOT NULL,
    PRIMARY KEY (mailbox, uid)
) STRICT, WITHOUT ROWID;

CREATE INDEX message_identity ON message (identity);

CREATE TABLE loose (
    mailbox INTEGER NOT NULL REFERENCES mailbox (id),
    name TEXT NOT NULL,
    kind INTEGER NOT NULL,
    identity BLOB NOT NULL,
    strong INTEGER NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (mailbox, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE held (
    mailbox INTEGER NOT NULL REFERENCES mailbox (id),
    side INTEGER NOT NULL,
    count INTEGER NOT NULL,
    total INTEGER NOT NULL,
    approved INTEGER NOT NULL,
    PRIMARY KEY (mailbox, side)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 1;
