//! One Leaver per data folder and per cluster: locks that the kernel releases however the holder ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::Error;

/// Holds a folder until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Locks `data_dir` and writes our process id into the lock's file, for the message that a second Leaver prints.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`], at once, if another process (or another start in this one) holds it.
    pub fn take(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join("postgres.lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(Error::io("open", &path))?;
        if !free(&file, &path)? {
            let mut holder = String::new();
            file.read_to_string(&mut holder).map_err(Error::io("read", &path))?;
            return Err(Error::InUse { data_dir: data_dir.to_path_buf(), pid: holder.trim().parse().ok() });
        }
        file.set_len(0).map_err(Error::io("write", &path))?;
        file.rewind().map_err(Error::io("write", &path))?;
        writeln!(file, "{}", std::process::id()).map_err(Error::io("write", &path))?;
        Ok(Self { file })
    }

    /// Locks the folder around the cluster as well: two data folders lead to the same one if one of them is a copy.
    ///
    /// # Errors
    ///
    /// As [`Lock::take`], without the process id.
    pub fn take_home(home: &Path) -> Result<Self, Error> {
        let file = File::open(home).map_err(Error::io("open", home))?;
        if free(&file, home)? {
            Ok(Self { file })
        } else {
            Err(Error::InUse { data_dir: home.to_path_buf(), pid: None })
        }
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

fn free(file: &File, path: &Path) -> Result<bool, Error> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(Error::io("lock", path)(source)),
    }
}
