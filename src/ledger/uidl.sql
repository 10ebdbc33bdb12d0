CREATE TABLE uidl (
    uidl TEXT PRIMARY KEY,
    uid INTEGER NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    durable INTEGER, -- milliseconds since 1970, as is the next
    missing INTEGER
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 2;
