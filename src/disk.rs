//! Directories that outlive a crash of the machine: a file that is fsynced below a directory whose own name is not on
//! disk is as lost as one that never was.
//!
//! For state, mail and outboxes; what lives in the runtime directory need not survive. Drivers that work below a
//! descriptor of their own (`maildir`) do the same with `mkdirat`.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Makes a directory that is its owner's alone (0700), with its parents, each durable in the one above it.
///
/// # Errors
///
/// What the file system says; an existing directory is none.
pub fn make_directory(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    missing.into_iter().filter_map(Path::parent).try_for_each(|parent| File::open(parent)?.sync_all())
}
