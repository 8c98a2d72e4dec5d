//! One process per role and data folder: locks that the kernel releases however the holder ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, bail};

use super::Role;

/// Holds a role until it is dropped or the process ends.
pub struct Lock {
    file: File,
}

impl Lock {
    /// Locks `run/<role>.lock` in `folder` and leaves our process id there, for the message that a second process prints.
    pub fn take(folder: &Path, role: Role) -> anyhow::Result<Self> {
        let path = folder.join("run").join(format!("{}.lock", role.as_str()));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).context("cannot read the lock")?;
                bail!(
                    "another leaver (process {}) is the {} of {}; stop it, or give this one a data_dir of its own: \
                     LEAVER__DATA_DIR=DIR",
                    pid.trim(),
                    role.as_str(),
                    folder.display()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).context("cannot write the lock")?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that another thread is just starting holds a copy of the descriptor until it
        // executes its program, and with it the lock.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot unlock the data folder");
        }
    }
}
