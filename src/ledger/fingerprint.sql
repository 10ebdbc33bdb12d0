-- What tells the message of a unique-id from all others, once the server sent it.
ALTER TABLE uidl ADD COLUMN fingerprint BLOB;

PRAGMA user_version = 4;
