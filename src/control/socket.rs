//! The socket as a file: its directory, a predecessor's leftovers, its removal.
//!
//! Whether a socket is stale is found out by connecting to it. Two daemons that start in the same instant are kept
//! apart by the daemon's own lock, not here. Blocking: call it off the reactor.

use crate::error::{Class, Classified};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A daemon answers there.
    #[error("another daemon listens on {0}")]
    Busy(PathBuf),
    /// Other users could reach or replace the socket.
    #[error("{0} is not a directory of this user")]
    Directory(PathBuf),
    /// Something that is not ours stands in the way.
    #[error("{0} is in the way and is not a socket")]
    InTheWay(PathBuf),
    /// The file system refused.
    #[error("cannot make the control socket {path}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Classified for Error {
    fn class(&self) -> Class {
        match self {
            Error::Io { .. } => Class::RETRY,
            Error::Busy(_) | Error::Directory(_) | Error::InTheWay(_) => Class::GiveUp,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Busy(_) => Some("see what it does: posthaste status".to_owned()),
            Error::Directory(_) => Some("set XDG_RUNTIME_DIR to a directory of your own".to_owned()),
            Error::InTheWay(path) => Some(format!("remove {}", path.display())),
            Error::Io { .. } => None,
        }
    }
}

/// A listening socket that removes its file.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    file: (u64, u64),
}

impl Socket {
    /// Binds `path` inside a private directory. Needs the context of a runtime.
    pub(super) fn bind(path: &Path) -> Result<Socket, Error> {
        let failed = |source| Error::Io { path: path.to_path_buf(), source };
        if let Some(directory) = path.parent() {
            make_private(directory)
                .map_err(failed)?
                .then_some(())
                .ok_or_else(|| Error::Directory(directory.to_path_buf()))?;
        }
        clear(path)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
        let file = identify(path).map_err(failed)?;
        Ok(Socket { listener, path: path.to_path_buf(), file })
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Only our own file is removed: a successor may have put its socket there.
impl Drop for Socket {
    fn drop(&mut self) {
        if identify(&self.path).is_ok_and(|file| file == self.file) {
            let _gone_already = fs::remove_file(&self.path);
        }
    }
}

/// Device and inode of the file at `path`.
fn identify(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Makes `directory` one that only this user can enter; false where it belongs to somebody else.
fn make_private(directory: &Path) -> io::Result<bool> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let metadata = fs::symlink_metadata(directory)?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Ok(false);
    }
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    }
    Ok(true)
}

/// Removes the socket of a daemon that is dead.
fn clear(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Io { path: path.to_path_buf(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(Error::InTheWay(path.to_path_buf()));
        }
        Ok(_) => {}
    }
    match StdUnixStream::connect(path) {
        Ok(_) => Err(Error::Busy(path.to_path_buf())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}
