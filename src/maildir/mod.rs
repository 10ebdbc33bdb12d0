//! The Maildir driver: names, delivery, scans, quarantine, the watcher.
