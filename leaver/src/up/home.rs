//! The data folder: one Leaver at a time, the first admin token, and the addresses that were bound.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use directory::{Directory, TokenKind};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Addresses;

/// The data folder, locked for this process.
pub struct Home {
    folder: PathBuf,
    _lock: File,
}

impl Home {
    /// Makes the folder, readable by its owner only, and locks it.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let run = folder.join("run");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&run)
            .with_context(|| format!("cannot make {}", run.display()))?;
        let path = run.join("up.lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                lock.read_to_string(&mut pid).context("cannot read the lock")?;
                bail!(
                    "another leaver (process {}) uses {}; stop it, or name another data_dir",
                    pid.trim(),
                    folder.display()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).context("cannot write the lock")?;
        Ok(Self { folder: folder.to_path_buf(), _lock: lock })
    }

    /// Names this process in leases: the same folder takes its own leases back at once after a restart.
    pub fn holder(&self) -> String {
        let folder = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
        let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
        format!("{}/up", hex::encode(&digest[..8]))
    }

    /// Where the admin token of this installation is kept.
    pub fn token_file(&self) -> PathBuf {
        self.folder.join("admin.token")
    }

    /// Makes sure that the token in `admin.token` is accepted; makes one at the first start.
    pub async fn admin_token(&self, console: &Directory) -> anyhow::Result<String> {
        let path = self.token_file();
        let token = match fs::read_to_string(&path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let token = directory::generate_token();
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)
                    .with_context(|| format!("cannot make {}", path.display()))?;
                writeln!(file, "{token}")
                    .and_then(|()| file.sync_all())
                    .with_context(|| format!("cannot write {}", path.display()))?;
                token
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        if console.knows_token(&token).await? {
            return Ok(token);
        }
        console.create_token(TokenKind::Admin, "first", &token, None).await?;
        Ok(token)
    }

    /// Writes the bound addresses to `run/<role>.json`, for the command line and for scripts.
    pub fn announce(&self, role: &str, addresses: &Addresses) -> anyhow::Result<()> {
        let path = self.folder.join("run").join(format!("{role}.json"));
        let body = json!({
            "role": role,
            "pid": std::process::id(),
            "public": addresses.public,
            "admin": addresses.admin,
            "probes": addresses.probes,
        });
        let part = path.with_extension("json.part");
        fs::write(&part, format!("{body}\n"))
            .and_then(|()| fs::rename(&part, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Takes the addresses back at a stop.
    pub fn retire(&self, role: &str) {
        let path = self.folder.join("run").join(format!("{role}.json"));
        if let Err(error) = fs::remove_file(&path) {
            tracing::debug!(error = &error as &dyn std::error::Error, "the address file could not be removed");
        }
    }
}
