CREATE TABLE uidl (
    uidl TEXT PRIMARY KEY,
    uid INTEGER NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    durable INTEGER,
    missing INTEGER
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 2;
