//! The data folder: one process per role at a time, who it is, the first admin token, and the addresses that were bound.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use directory::{Directory, TokenKind};
use rand::RngExt;
use serde_json::json;

use super::lock::Lock;
use super::{Addresses, Hosted};

/// The data folder, locked for the roles of this process.
pub struct Home {
    folder: PathBuf,
    hosted: Hosted,
    /// Stands for the folder, wherever it is mounted and on whichever machine.
    id: String,
    _locks: Vec<Lock>,
}

impl Home {
    /// Makes the folder, readable by its owner only, and locks it for each role of `hosted`.
    pub fn open(folder: &Path, hosted: Hosted) -> anyhow::Result<Self> {
        let run = folder.join("run");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&run)
            .with_context(|| format!("cannot make {}", run.display()))?;
        let locks = hosted.roles().iter().map(|role| Lock::take(folder, *role)).collect::<anyhow::Result<_>>()?;
        let id = id(&folder.join("id"))?;
        Ok(Self { folder: folder.to_path_buf(), hosted, id, _locks: locks })
    }

    /// Names this process in leases: the same folder and role takes its own leases back at once after a restart.
    pub fn holder(&self) -> String {
        format!("{}/{}", self.id, self.hosted.name())
    }

    /// Names this process to the bus; the same after a restart. Letters, digits and dashes.
    pub fn instance(&self) -> String {
        format!("{}-{}", self.id, self.hosted.name())
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
                keep(&path, &token)?;
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
    pub fn announce(&self, addresses: &Addresses) -> anyhow::Result<()> {
        let path = self.announcement();
        let mut body = json!(addresses);
        body["role"] = self.hosted.name().into();
        body["pid"] = std::process::id().into();
        let part = path.with_extension("json.part");
        fs::write(&part, format!("{body}\n"))
            .and_then(|()| fs::rename(&part, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Takes the addresses back at a stop.
    pub fn retire(&self) {
        if let Err(error) = fs::remove_file(self.announcement()) {
            tracing::debug!(error = &error as &dyn std::error::Error, "the address file could not be removed");
        }
    }

    fn announcement(&self) -> PathBuf {
        self.folder.join("run").join(format!("{}.json", self.hosted.name()))
    }
}

/// The id of the folder, made by whoever starts here first. Its path would not do: in containers it is the same everywhere.
fn id(path: &Path) -> anyhow::Result<String> {
    let read = || fs::read_to_string(path).map(|text| text.trim().to_owned());
    let found = match read() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let bytes: [u8; 8] = rand::rng().random();
            // Another role may start here at this very moment: one of the two ids stays, whole.
            let part = path.with_extension(format!("{}.part", std::process::id()));
            keep(&part, &hex::encode(bytes))?;
            let linked = fs::hard_link(&part, path);
            fs::remove_file(&part).with_context(|| format!("cannot remove {}", part.display()))?;
            match linked {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
                _ => read(),
            }
        }
        read => read,
    };
    let id = found.with_context(|| format!("cannot read {}", path.display()))?;
    anyhow::ensure!(
        !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric()),
        "{} holds no id; remove it, and the next start makes one",
        path.display()
    );
    Ok(id)
}

/// Writes a line to a new file that nobody else may read.
fn keep(path: &Path, line: &str) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    writeln!(file, "{line}").and_then(|()| file.sync_all()).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::*;

    #[test]
    fn a_folder_keeps_its_name_and_each_role_in_it_has_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let open = |hosted| Home::open(folder.path(), hosted).unwrap().holder();
        let revoker = open(Hosted::Alone(Role::Revoker));
        assert_eq!(revoker, open(Hosted::Alone(Role::Revoker)), "after a restart");
        let console = open(Hosted::Alone(Role::Console));
        assert_eq!(revoker.split('/').next(), console.split('/').next());
        assert_ne!(revoker, console);
        let elsewhere = tempfile::tempdir().unwrap();
        assert_ne!(revoker, Home::open(elsewhere.path(), Hosted::Alone(Role::Revoker)).unwrap().holder());
    }

    #[test]
    fn roles_share_a_folder_but_no_role_is_there_twice() {
        let folder = tempfile::tempdir().unwrap();
        let open = |hosted| Home::open(folder.path(), hosted);
        let _revoker = open(Hosted::Alone(Role::Revoker)).unwrap();
        let console = open(Hosted::Alone(Role::Console)).unwrap();
        assert!(open(Hosted::Alone(Role::Revoker)).is_err());
        drop(console);
        assert!(open(Hosted::Up).is_err(), "it would be a second revoker");
        assert!(open(Hosted::Alone(Role::Console)).is_ok(), "nothing is left locked by what was refused");
    }
}
