//! The refresh token at rest: `token.json`, 0600, in the account's state directory.
//!
//! The only file in which a secret is serialised. A new token is durable before `save` returns: written beside the
//! old one with `O_EXCL` and 0600, fsynced, renamed over it, and the directory fsynced; a crash leaves the old file or
//! the new one, never half of one. Writers hold [`Lock`], an flock that other processes respect, from reading the old
//! token until the new one is saved: two refreshes with the same token look like theft to servers that rotate
//! (RFC 9700 §4.14). A file that others can read, or that is not ours, is refused, never repaired in silence.
//! All calls block. Rejected as the usual place: the Secret Service, which has no unlocked keyring on a machine without
//! a session; where it is wanted, it keeps the key of a seal, and the sealed token stands here. Rejected: the token before
//! this one as a spare. No crash can lose the file, and a server that refuses the newest token refuses its predecessors
//! too, or takes the use of one for theft and ends the login (RFC 9700 §4.14.2).

use super::error::Error;
use super::vault;
use crate::disk::make_directory;
use jiff::Timestamp;
use rustix::fs::{FlockOperation, OFlags, flock};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use url::Url;

/// Refresh tokens have up to some 4 KiB; anything longer than this is another file.
const LONGEST: u64 = 64 * 1024;
/// Raised when the shape of the file changes.
const SCHEMA: u32 = 1;

/// A refresh token and for whom it was issued.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    /// The token.
    pub(super) refresh_token: SecretString,
    /// The token endpoint that issued it, and the only one that it is sent to.
    pub(super) issuer: Url,
    /// The client that it was issued to.
    pub(super) client_id: String,
}

/// The grant as it stands in the file. No Debug: it is a secret in plain text.
#[derive(Serialize, Deserialize)]
struct Record {
    schema: u32,
    issuer: Url,
    client_id: String,
    /// Empty where it is sealed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    refresh_token: String,
    /// The token under the seal of [`vault`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    saved_at: Timestamp,
}

/// The file of one account.
#[derive(Clone, Debug)]
pub(super) struct Store {
    path: PathBuf,
    account: String,
    is_sealed: bool,
    seen: Arc<Mutex<Seen>>,
}

/// What is known of the file from outside.
#[derive(Debug, Default)]
struct Seen {
    /// What it was at the last look or save; `None` before the first.
    stamp: Option<Stamp>,
    /// How often others have changed it since.
    changes: u64,
}

/// Tells one file from the next in its place; `None` where there is none. A file has its number to itself while it stands,
/// also where both are written within one tick of the clock.
type Stamp = Option<(u64, SystemTime)>;

/// The right to change the file, against all processes; ends when dropped.
#[derive(Clone, Debug)]
pub(super) struct Lock {
    _file: Arc<File>,
}

impl Store {
    pub(super) fn new(path: PathBuf, account: String, is_sealed: bool) -> Store {
        Store { path, account, is_sealed, seen: Arc::default() }
    }

    /// Takes the lock if no other process has it; makes the directory if there is none.
    pub(super) fn try_lock(&self) -> Result<Option<Lock>, Error> {
        let directory = self.directory();
        make_directory(directory).map_err(|error| Error::io("create", directory, error))?;
        check(directory, &metadata(directory)?, 0o700, 0o022)?;
        let path = self.path.with_extension("lock");
        let file = private().create(true).truncate(false).open(&path);
        let file = file.map_err(|error| Error::io("open", &path, error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock { _file: Arc::new(file) })),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(Error::io("lock", path, error.into())),
        }
    }

    /// The grant, if one is saved. Refuses a file that others can get at.
    pub(super) fn load(&self) -> Result<Option<Grant>, Error> {
        let fails = |error| Error::io("read", &self.path, error);
        let options =
            flags(OpenOptions::new().read(true), OFlags::NOFOLLOW | OFlags::NONBLOCK).open(&self.path);
        let file = match options {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fails(error)),
        };
        check(&self.path, &file.metadata().map_err(fails)?, 0o600, 0o077)?;
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text).map_err(fails)?;
        let corrupt = || Error::Corrupt { account: self.account.clone(), path: self.path.clone() };
        let record: Record = serde_json::from_slice(&text).map_err(|_| corrupt())?;
        let token = match &record.sealed {
            Some(sealed) => vault::open(&self.path, &record.client_id, sealed)?,
            None => Some(record.refresh_token.into()),
        };
        let token = token.filter(|token| record.schema == SCHEMA && !token.expose_secret().is_empty());
        let refresh_token = token.ok_or_else(corrupt)?;
        Ok(Some(Grant { refresh_token, issuer: record.issuer, client_id: record.client_id }))
    }

    /// Whether there is room for a grant: one as long as `grant` is written where the next one will be, and taken away.
    pub(super) fn try_out(&self, _held: &Lock, grant: &Grant) -> Result<(), Error> {
        self.write_beside(grant, Timestamp::UNIX_EPOCH).and_then(|fresh| remove(&fresh))
    }

    /// Replaces the grant; durable when this returns.
    pub(super) fn save(&self, _held: &Lock, grant: &Grant, now: Timestamp) -> Result<(), Error> {
        let fresh = self.write_beside(grant, now)?;
        let mut seen = self.seen();
        // What another process wrote is not to be missed because it is replaced at once.
        seen.look(self.stamp());
        std::fs::rename(&fresh, &self.path).map_err(|error| Error::io("replace", &self.path, error))?;
        seen.stamp = Some(self.stamp());
        drop(seen);
        self.sync_directory()
    }

    /// How often others than this store and its clones have changed the file since the first look.
    pub(super) fn changes(&self) -> u64 {
        let mut seen = self.seen();
        seen.look(self.stamp());
        seen.changes
    }

    fn stamp(&self) -> Stamp {
        let file = self.path.metadata().ok()?;
        Some((file.ino(), file.modified().ok()?))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file beside the grant's own, with this content; where it is.
    fn write_beside(&self, grant: &Grant, now: Timestamp) -> Result<PathBuf, Error> {
        let (refresh_token, sealed) = match self.is_sealed {
            true => (String::new(), Some(vault::seal(&self.path, &grant.client_id, &grant.refresh_token)?)),
            false => (grant.refresh_token.expose_secret().to_owned(), None),
        };
        let (issuer, client_id) = (grant.issuer.clone(), grant.client_id.clone());
        let record = Record { schema: SCHEMA, issuer, client_id, refresh_token, sealed, saved_at: now };
        let fresh = self.path.with_extension("json.new");
        let fails = |error| Error::io("write", &fresh, error);
        // Left by a crash; nobody else writes it while the lock is held.
        remove(&fresh)?;
        let mut file = private().create_new(true).open(&fresh).map_err(fails)?;
        let mut text = serde_json::to_vec_pretty(&record).map_err(|error| fails(error.into()))?;
        text.push(b'\n');
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(fails)?;
        Ok(fresh)
    }

    /// Deletes the grant; a missing one is fine.
    pub(super) fn forget(&self, _held: &Lock) -> Result<(), Error> {
        remove(&self.path)?;
        remove(&self.path.with_extension("json.new"))?;
        self.sync_directory()
    }

    fn directory(&self) -> &Path {
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn sync_directory(&self) -> Result<(), Error> {
        let directory = self.directory();
        File::open(directory)
            .and_then(|file| file.sync_all())
            .map_err(|error| Error::io("sync", directory, error))
    }
}

impl Seen {
    fn look(&mut self, stamp: Stamp) {
        if self.stamp.replace(stamp).is_some_and(|known| known != stamp) {
            self.changes += 1;
        }
    }
}

/// The content of a key file that nobody else can get at.
pub(super) fn read_private(path: &Path, longest: u64) -> Result<Vec<u8>, Error> {
    let fails = |error| Error::io("read", path, error);
    let file = flags(OpenOptions::new().read(true), OFlags::NONBLOCK).open(path).map_err(fails)?;
    check(path, &file.metadata().map_err(fails)?, 0o600, 0o077)?;
    read_all(file, longest).map_err(fails)
}

/// The content of a file that is no secret.
pub(super) fn read_limited(path: &Path, longest: u64) -> Result<Vec<u8>, Error> {
    let fails = |error| Error::io("read", path, error);
    let file = flags(OpenOptions::new().read(true), OFlags::NONBLOCK).open(path).map_err(fails)?;
    read_all(file, longest).map_err(fails)
}

fn read_all(file: File, longest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(longest).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// For files that are ours alone from the first moment on.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    flags(options.read(true).write(true).mode(0o600), OFlags::NOFOLLOW);
    options
}

fn flags(options: &mut OpenOptions, flags: OFlags) -> &mut OpenOptions {
    options.custom_flags(flags.bits().cast_signed())
}

fn metadata(path: &Path) -> Result<Metadata, Error> {
    path.metadata().map_err(|error| Error::io("look at", path, error))
}

/// Refuses what is not ours, and what gives others one of the `forbidden` permissions.
fn check(path: &Path, found: &Metadata, wanted: u32, forbidden: u32) -> Result<(), Error> {
    let path = path.to_owned();
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(Error::NotOurs { path, owner: found.uid() });
    }
    match found.mode() & 0o7777 {
        mode if mode & forbidden != 0 => Err(Error::Exposed { path, mode, wanted }),
        _ => Ok(()),
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Class, Classified};
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn store() -> (tempfile::TempDir, Store) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lab/token.json");
        (home, Store::new(path, "lab".into(), false))
    }

    fn grant(token: &str) -> Grant {
        let issuer = "https://login.test/token".parse().unwrap();
        Grant { refresh_token: token.into(), issuer, client_id: "client".into() }
    }

    fn save(store: &Store, token: &str) {
        let lock = store.try_lock().unwrap().unwrap();
        store.save(&lock, &grant(token), Timestamp::UNIX_EPOCH).unwrap();
    }

    #[test]
    fn what_is_saved_is_loaded_and_private() {
        let (_home, store) = store();
        assert!(store.load().unwrap().is_none());
        save(&store, "r1");
        save(&store, "r2");
        let loaded = store.load().unwrap().unwrap();
        assert_eq!(loaded.refresh_token.expose_secret(), "r2");
        assert_eq!((loaded.client_id.as_str(), loaded.issuer), ("client", grant("").issuer));
        assert_eq!(store.path.metadata().unwrap().mode() & 0o7777, 0o600);
        assert_eq!(store.directory().metadata().unwrap().mode() & 0o7777, 0o700);
    }

    #[test]
    fn only_what_others_save_counts_as_a_change_also_where_it_is_replaced_at_once() {
        let (_home, store) = store();
        let other = Store::new(store.path.clone(), "lab".into(), false);
        save(&other, "r1");
        assert_eq!(store.changes(), 0);
        save(&store, "r2");
        save(&store.clone(), "r3");
        assert_eq!(store.changes(), 0);
        save(&other, "r4");
        assert_eq!(store.changes(), 1);
        save(&other, "r5");
        save(&store, "r6");
        assert_eq!(store.changes(), 2);
        std::fs::remove_file(&store.path).unwrap();
        assert_eq!(store.changes(), 3);
    }

    #[test]
    fn a_token_open_to_others_is_refused_with_the_command_that_closes_it() {
        let (_home, store) = store();
        save(&store, "r1");
        std::fs::set_permissions(&store.path, Permissions::from_mode(0o644)).unwrap();
        let error = store.load().unwrap_err();
        assert!(error.to_string().contains("mode 0644"), "{error}");
        assert!(error.hint().unwrap().contains("chmod 600"), "{:?}", error.hint());
        assert_eq!(error.class(), Class::GiveUp);
    }

    #[test]
    fn a_directory_that_others_may_write_is_refused() {
        let (_home, store) = store();
        save(&store, "r1");
        std::fs::set_permissions(store.directory(), Permissions::from_mode(0o777)).unwrap();
        assert!(store.try_lock().unwrap_err().hint().unwrap().contains("chmod 700"));
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let (home, store) = store();
        save(&store, "r1");
        let elsewhere = home.path().join("elsewhere");
        std::fs::rename(&store.path, &elsewhere).unwrap();
        symlink(&elsewhere, &store.path).unwrap();
        assert!(matches!(store.load(), Err(Error::Io { .. })));
    }

    #[test]
    fn the_lock_excludes_and_ends_with_its_holder() {
        let (_home, store) = store();
        let held = store.try_lock().unwrap().unwrap();
        assert!(store.try_lock().unwrap().is_none());
        drop(held);
        assert!(store.try_lock().unwrap().is_some());
    }

    #[test]
    fn leftovers_of_a_crash_do_not_stop_the_next_save() {
        let (_home, store) = store();
        save(&store, "r1");
        std::fs::write(store.path.with_extension("json.new"), "{\"half").unwrap();
        save(&store, "r2");
        assert_eq!(store.load().unwrap().unwrap().refresh_token.expose_secret(), "r2");
    }

    #[test]
    fn a_damaged_file_asks_for_a_login_and_shows_nothing_of_it() {
        let (_home, store) = store();
        save(&store, "r1");
        for text in ["", "{", "{\"refresh_token\":\"CANARY\"}", "[]", "\u{0}"] {
            std::fs::write(&store.path, text).unwrap();
            let error = store.load().unwrap_err();
            assert_eq!(error.class(), Class::NeedsLogin);
            assert!(!format!("{error} {error:?}").contains("CANARY"));
        }
    }

    #[test]
    fn forgetting_leaves_no_token_behind() {
        let (_home, store) = store();
        save(&store, "r1");
        let lock = store.try_lock().unwrap().unwrap();
        store.forget(&lock).unwrap();
        store.forget(&lock).unwrap();
        assert!(store.load().unwrap().is_none());
    }
}
