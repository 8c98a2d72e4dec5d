//! Redis behind TLS, with a certificate that only the test vouches for.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use downstreams::{ConfigError, Error, Match};
use serde_json::json;

use crate::stores::{build, chain, unique};

struct Server {
    folder: PathBuf,
    port: u16,
    process: Child,
}

fn openssl(folder: &PathBuf, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Server {
    /// Its certificate is of the authority `ca.pem` and for `localhost`; `other.pem` is another authority.
    async fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("leaver-tls-{}", unique()));
        fs::create_dir(&folder).unwrap();
        for name in ["ca", "other"] {
            let key = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
            openssl(&folder, &format!("{key} -subj /CN={name} -keyout {name}.key -out {name}.pem"));
        }
        let key = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost";
        openssl(&folder, &format!("{key} -keyout server.key -out server.csr"));
        fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
        openssl(
            &folder,
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
        );
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = "--port 0 --tls-cert-file server.pem --tls-key-file server.key --tls-ca-cert-file ca.pem";
        let process = Command::new("redis-server")
            .args(["--save", "", "--bind", "127.0.0.1", "--tls-port", &port.to_string()])
            .args(options.split(' '))
            .args(["--tls-auth-clients", "no"])
            .current_dir(&folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { folder, port, process };
        let deadline = Instant::now() + Duration::from_secs(60);
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(Instant::now() < deadline, "redis-server does not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server
    }

    fn config(&self, host: &str) -> serde_json::Value {
        let url = format!("rediss://{host}:{}", self.port);
        json!({ "type": "redis", "url": url, "layout": "flask-session" })
    }

    fn file(&self, name: &str) -> serde_json::Value {
        json!({ "tls": { "ca": self.folder.join(name) } })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[tokio::test]
async fn a_server_is_spoken_to_only_if_the_named_authority_vouches_for_it() {
    let server = Server::start().await;
    let adapter = build(server.config("localhost"), server.file("ca.pem"), Match::Exact);
    assert!(adapter.probe().await.unwrap().store.starts_with("Redis "));

    for (host, with, words) in [
        ("localhost", server.file("other.pem"), "UnknownIssuer"),
        ("localhost", json!({}), "UnknownIssuer"),
        ("127.0.0.1", server.file("ca.pem"), "not valid for name"),
    ] {
        let error = build(server.config(host), with, Match::Exact).probe().await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)) && chain(&error).contains(words), "{words}: {}", chain(&error));
    }
}

#[test]
fn a_file_that_holds_no_certificate_is_refused_before_any_connection() {
    let refused = |ca: &str| {
        let config = json!({ "type": "redis", "url": "rediss://h", "layout": "flask-session", "tls": { "ca": ca } });
        serde_json::from_value::<downstreams::Config>(config).unwrap().build(Match::Exact).err().unwrap()
    };
    for ca in ["/nowhere/ca.pem", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")] {
        assert!(matches!(refused(ca), ConfigError::File { key: "tls.ca", .. }), "{ca}");
    }
}
