//! Where the server is, and which token it gets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use lifecycle::Secret;
use serde::Deserialize;
use url::Url;

use crate::client::Client;
use crate::config::{self, Config, Environment};

use super::args::Global;
use super::failure::{Exit, Failure, Message};

const TOKEN: &str = "LEAVER_TOKEN";

/// A client for the server that the command line, or else the configuration, means.
///
/// Whoever names a server and has a token of their own needs no configuration.
///
/// # Errors
/// Problems of the configuration; a token that cannot be read; no address to be had.
pub fn connect(global: &Global, environment: &Environment) -> Result<Client, Failure> {
    let token = environment.get(TOKEN).filter(|token| !token.is_empty()).map(|token| Secret::new(token.trim()));
    let config = match (&global.server, &token) {
        (Some(_), Some(_)) => None,
        (Some(_), None) if !global.config.exists() => None,
        _ => Some(config::load_without_secrets(&global.config, environment)?),
    };
    let token = match (token, &config) {
        (None, Some(config)) => read_token(&config.data_dir)?,
        (token, _) => token,
    };
    let base = match (&global.server, &config) {
        (Some(server), _) => server.clone(),
        (None, config) => address(config.as_ref())?,
    };
    Ok(Client::new(base, token)?)
}

/// The first token, which the server made; `None` where it was never started, which the server's absence says better.
fn read_token(data_dir: &Path) -> Result<Option<Secret>, Failure> {
    let path = data_dir.join("admin.token");
    match std::fs::read_to_string(&path) {
        Ok(token) => Ok(Some(Secret::new(token.trim()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let message = Message::new(Exit::Failed, format!("{} cannot be read", super::shown(&path)));
            Err(message.help("set LEAVER_TOKEN, or run as the account of the server").caused_by(Some(&error)).into())
        }
    }
}

/// The address that a running process announced, else the configured one.
fn address(config: Option<&Config>) -> Result<Url, Failure> {
    let unknown = || Message::new(Exit::Usage, "no server is named").help("name one with --server");
    let config = config.ok_or_else(unknown)?;
    let announced = ["up", "console"].iter().find_map(|role| announced(&config.data_dir, role));
    let address = announced.unwrap_or(config.http.admin);
    if address.port() == 0 {
        let message =
            Message::new(Exit::Failed, "nobody answers: http.admin has port 0, and no server has said which it took");
        return Err(message.help("start leaver up, or name another with --server").into());
    }
    Url::parse(&format!("http://{}", reachable(address))).map_err(|error| anyhow::Error::from(error).into())
}

/// What a role wrote about itself when it started; a file of another form is passed over.
fn announced(data_dir: &Path, role: &str) -> Option<SocketAddr> {
    #[derive(Deserialize)]
    struct Announced {
        admin: Option<SocketAddr>,
    }
    let text = std::fs::read(data_dir.join("run").join(format!("{role}.json"))).ok()?;
    serde_json::from_slice::<Announced>(&text).ok()?.admin
}

/// Who listens on every address is reached on this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(data_dir: &Path) -> Config {
        Config { data_dir: data_dir.to_owned(), ..Config::default() }
    }

    #[test]
    fn a_running_process_is_found_where_it_says_and_else_where_it_is_configured() {
        let folder = tempfile::tempdir().unwrap();
        let found = |config: &Config| address(Some(config)).unwrap().to_string();
        assert_eq!(found(&config(folder.path())), "http://127.0.0.1:8471/");
        std::fs::create_dir(folder.path().join("run")).unwrap();
        let announce = |role: &str, text: &str| {
            std::fs::write(folder.path().join("run").join(format!("{role}.json")), text).unwrap();
        };
        announce("console", r#"{"role":"console","pid":1,"admin":"127.0.0.1:4001","probes":"127.0.0.1:1"}"#);
        assert_eq!(found(&config(folder.path())), "http://127.0.0.1:4001/");
        announce("up", r#"{"role":"up","pid":1,"admin":"0.0.0.0:4000"}"#);
        assert_eq!(found(&config(folder.path())), "http://127.0.0.1:4000/");
        announce("up", "half a docu");
        assert_eq!(found(&config(folder.path())), "http://127.0.0.1:4001/");
    }

    #[test]
    fn any_free_port_is_no_address() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        config.http.admin.set_port(0);
        assert_eq!(address(Some(&config)).unwrap_err().exit(), Exit::Failed);
    }
}
