//! The Unix socket by which alone the server can be reached, and its address for clients.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Error;
use super::account::Account;
use super::home::{private, short_name};

/// Names the socket's file (`.s.PGSQL.5432`); nothing listens on a port. Fixed, as `PGPORT` would change the default.
pub const PORT: u16 = 5432;
/// Bytes of `sun_path` (unix(7)) without its closing NUL, and one to spare for other systems.
const LONGEST: usize = 106;

/// A private folder for the socket: in `home`, or with a short name where the system keeps run-time files.
pub fn folder(home: &Path, account: &Account) -> Result<PathBuf, Error> {
    let mut folder = home.join("run");
    if !fits(&folder) {
        folder = runtime(account).join(format!("leaver-{}", short_name(home)));
    }
    if !fits(&folder) {
        return Err(Error::SocketPath { folder });
    }
    private(&folder, account)?;
    Ok(folder)
}

/// Trust authentication makes the folder's permissions the only guard, so it has to be reached by name from anywhere but
/// entered only by its owner (and root).
fn runtime(account: &Account) -> PathBuf {
    if account.is_dropped() {
        return PathBuf::from("/run");
    }
    let own = PathBuf::from(format!("/run/user/{}", account.uid()));
    let is_ours = own.metadata().is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == account.uid());
    if is_ours { own } else { std::env::temp_dir() }
}

fn fits(folder: &Path) -> bool {
    // The address is handed around as a URL and must survive that.
    folder.to_str().is_some() && folder.join(format!(".s.PGSQL.{PORT}")).as_os_str().len() <= LONGEST
}

/// The value for `unix_socket_directories`, which is a list: quoted, a comma or a space is part of the name.
pub fn setting(folder: &Path) -> String {
    format!("\"{}\"", folder.display().to_string().replace('"', "\"\""))
}

/// An address that libpq and sqlx read alike. The host in front is needed by the syntax only: `host=` wins.
pub fn url(folder: &Path, user: &str, database: &str) -> String {
    let mut host = String::new();
    for &byte in folder.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => host.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => host.push(char::from(byte)),
            _ => host.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("postgres://{user}@localhost:{PORT}/{database}?host={host}&sslmode=disable")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sqlx::postgres::PgConnectOptions;

    use super::{setting, url};

    #[test]
    fn the_address_survives_what_a_path_may_hold() {
        let folder = Path::new("/srv/a b,c+d%e&f=ü/run");
        let address = url(folder, "leaver", "leaver");
        assert_eq!(
            address,
            "postgres://leaver@localhost:5432/leaver?host=/srv/a%20b%2Cc%2Bd%25e%26f%3D%C3%BC/run&sslmode=disable"
        );
        let options: PgConnectOptions = address.parse().unwrap();
        assert_eq!(options.get_socket().map(|socket| socket.as_path()), Some(folder));
        assert_eq!((options.get_username(), options.get_database()), ("leaver", Some("leaver")));
    }

    #[test]
    fn a_comma_in_the_folder_does_not_make_two_of_it() {
        assert_eq!(setting(Path::new("/srv/a, \"b\"/run")), r#""/srv/a, ""b""/run""#);
    }
}
