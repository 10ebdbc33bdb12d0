-- The id in the marker of a mailbox's directory: device numbers change.
ALTER TABLE mailbox ADD COLUMN token INTEGER;

PRAGMA user_version = 5;
