-- The size listed before its message was fetched: under another one it may be another message.
ALTER TABLE uidl ADD COLUMN first_size INTEGER;
-- Where what was fetched is longer, another size was listed then, and which one is not known.
UPDATE uidl SET first_size = size WHERE NOT EXISTS (
    SELECT 1 FROM message JOIN mailbox ON mailbox.id = message.mailbox
    WHERE mailbox.name = 'INBOX' AND message.uid = uidl.uid AND message.size > uidl.size
);
-- Whether a session broke while its message was awaited.
ALTER TABLE uidl ADD COLUMN suspect INTEGER NOT NULL DEFAULT 0;

-- The last visit to the maildrop: one row. Everything in milliseconds.
CREATE TABLE visit (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    login INTEGER NOT NULL, -- since 1970, by the clock of the machine
    delay INTEGER NOT NULL, -- how long the server wants to be left alone after it
    clock INTEGER NOT NULL, -- what `durable` and `missing` of uidl count in
    broken INTEGER NOT NULL -- whether the session broke at a message that had broken one before
) STRICT;

PRAGMA user_version = 3;
