//! Applications on the session stores of Flask, Django, Spring and Auth.js, and what Leaver is told of those stores.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use url::Url;

use super::{Browser, Database, Names, Process, Site, services, until};

/// A Java program on a busy machine.
const START: Duration = Duration::from_secs(180);

/// A framework and the store that its sessions are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framework {
    Flask,
    Django,
    /// Django with a cache before its table.
    DjangoCached,
    /// Spring's repository with an index by user.
    SpringIndexed,
    /// The one without, Spring Boot's default.
    SpringPlain,
    SpringJdbc,
    Authjs,
}

impl Framework {
    /// The name of the downstream.
    pub fn name(self) -> &'static str {
        match self {
            Framework::Flask => "flask",
            Framework::Django => "django",
            Framework::DjangoCached => "django-cached",
            Framework::SpringIndexed => "spring-indexed",
            Framework::SpringPlain => "spring-plain",
            Framework::SpringJdbc => "spring-jdbc",
            Framework::Authjs => "authjs",
        }
    }

    /// What the keys of the application begin with in the shared Redis.
    fn prefix(self, names: &Names) -> String {
        names.prefix(self.name()).trim_end_matches(':').to_owned()
    }

    /// The entry for it below `downstreams`. `database` is the application's.
    pub fn downstream(self, names: &Names, database: &Database, sweeps: &str) -> String {
        let (redis, prefix) = (services::redis_url(), self.prefix(names));
        let spring = format!("type: redis, url: \"{redis}\", layout: spring-session, namespace: \"{prefix}\"");
        let django = "layout: django, users: \"select id from auth_user where username = $1\"";
        let cache = format!("url: \"{redis}\", prefix: \"{prefix}:1:django.contrib.sessions.cached_db\"");
        let sql = format!("type: sql, url: \"{}\"", database.url());
        let adapter = match self {
            Framework::Flask => {
                format!("type: redis, url: \"{redis}\", layout: flask-session, prefix: \"{prefix}:\"")
            }
            Framework::Django => format!("{sql}, {django}"),
            Framework::DjangoCached => format!("{sql}, {django}, cache: {{ {cache} }}"),
            Framework::SpringIndexed => spring,
            Framework::SpringPlain => format!("{spring}, indexed: false"),
            Framework::SpringJdbc => format!("{sql}, layout: spring-session-jdbc"),
            Framework::Authjs => format!("{sql}, layout: authjs, users: \"select id from users where email = $1\""),
        };
        let subject = if self == Framework::Authjs { "identity.email" } else { "identity.userName" };
        format!("  {}: {{ adapter: {{ {adapter} }}, subject: {subject}, sweeps: {sweeps} }}\n", self.name())
    }

    fn command(self, names: &Names, database: &Database) -> Command {
        let (python, prefix) = (installed("venv/bin/python"), self.prefix(names));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("frameworks/python");
        let mut command = match self {
            Framework::Flask => script(&python, &source.join("flask_app.py")),
            Framework::Django | Framework::DjangoCached => script(&python, &source.join("django_app.py")),
            Framework::SpringIndexed | Framework::SpringPlain | Framework::SpringJdbc => {
                let mut java = Command::new("java");
                // It lives for a minute: starting soon matters more than running fast.
                java.args(["-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx192m", "-jar"]);
                java.arg(installed("spring/app.jar"));
                java
            }
            Framework::Authjs => {
                let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("frameworks/authjs");
                assert!(source.join("node_modules").is_dir(), "run scripts/needs frameworks");
                let mut node = Command::new("node");
                node.arg(source.join("app.js"));
                node
            }
        };
        match self {
            Framework::Flask => command.env("PREFIX", format!("{prefix}:")),
            Framework::Authjs => &mut command,
            Framework::Django => command.env("SESSION_ENGINE", "django.contrib.sessions.backends.db"),
            Framework::DjangoCached => {
                command.env("SESSION_ENGINE", "django.contrib.sessions.backends.cached_db").env("PREFIX", prefix)
            }
            Framework::SpringIndexed => command.env("SPRING_PROFILES_ACTIVE", "indexed").env("PREFIX", prefix),
            Framework::SpringPlain => command.env("SPRING_PROFILES_ACTIVE", "plain").env("PREFIX", prefix),
            Framework::SpringJdbc => {
                command.env("SPRING_PROFILES_ACTIVE", "jdbc").env("JDBC_URL", jdbc(database.url()))
            }
        };
        command.env("PORT", "0").env("REDIS_URL", services::redis_url()).env("DATABASE_URL", database.url());
        command
    }
}

/// A running application.
pub struct Application {
    base: String,
    // Ends with this, and prints its output if the story fails.
    _process: Process,
}

impl Application {
    /// `database` is the application's own.
    pub async fn start(site: &Site, framework: Framework, database: &Database) -> Self {
        let name = framework.name();
        let mut process = Process::start(framework.command(site.names(), database), &site.path(""), name);
        let port = until(START, &format!("the application {name} listens, or has ended"), async || {
            let port = process.lines().iter().find_map(|line| line.strip_prefix("listening ").map(str::to_owned));
            port.or_else(|| process.has_ended().then(String::new))
        })
        .await;
        assert!(!port.is_empty(), "the application {name} does not start");
        Self { base: format!("http://127.0.0.1:{port}"), _process: process }
    }

    /// A browser in which `user` has just signed in.
    pub async fn sign_in(&self, user: &str) -> Browser {
        let mut browser = Browser::at(&self.base);
        browser.login(user).await;
        browser
    }
}

fn script(python: &Path, script: &Path) -> Command {
    let mut command = Command::new(python);
    // No files of its own beside the source.
    command.arg("-B").arg(script);
    command
}

fn installed(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/frameworks").join(path);
    assert!(path.exists(), "{} is missing: run scripts/needs frameworks", path.display());
    path
}

/// The address of a PostgreSQL as its driver for Java wants it.
fn jdbc(url: &str) -> String {
    let url = Url::parse(url).expect("the address of a database is a URL");
    let (host, port) = (url.host_str().expect("it has a host"), url.port().unwrap_or(5432));
    let login = [("user", url.username()), ("password", url.password().unwrap_or_default())];
    let login = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(login).finish();
    format!("jdbc:postgresql://{host}:{port}{}?{login}", url.path())
}
