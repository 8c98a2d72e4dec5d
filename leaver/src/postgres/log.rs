//! The file that PostgreSQL writes its messages to, and the end of it for our errors.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Error;

/// Above this size a start sets the log aside; with the server's settings that is months of messages.
const LIMIT: u64 = 10 * 1024 * 1024;
/// What an error quotes.
const LINES: usize = 20;
const BYTES: u64 = 16 * 1024;

/// The log of one start: what was in the file before is not quoted.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    begin: u64,
}

impl Log {
    /// Opens `postgres.log` in `data_dir`. It is Leaver's own: the server's account only inherits it opened.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join("postgres.log");
        if path.metadata().is_ok_and(|metadata| metadata.len() > LIMIT) {
            fs::rename(&path, data_dir.join("postgres.log.1")).map_err(Error::io("set aside", &path))?;
        }
        let opened = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(&path);
        let file = opened.map_err(Error::io("open", &path))?;
        let begin = file.metadata().map_err(Error::io("read", &path))?.len();
        Ok(Self { path, file, begin })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets `command` write here.
    pub fn attach(&self, command: &mut Command) -> Result<(), Error> {
        let again = || self.file.try_clone().map_err(Error::io("open", &self.path));
        command.stdin(Stdio::null()).stdout(again()?).stderr(again()?);
        Ok(())
    }

    /// The last lines written since [`Log::open`]; the reason itself if they cannot be read.
    pub fn tail(&self) -> String {
        self.read_tail().unwrap_or_else(|error| format!("(it cannot be read: {error})"))
    }

    fn read_tail(&self) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(self.begin.max(length.saturating_sub(BYTES))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().collect();
        Ok(lines[lines.len().saturating_sub(LINES)..].join("\n"))
    }
}
