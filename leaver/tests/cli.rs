//! The real program where it needs no server: stdout, stderr and exit code together.

use std::path::Path;
use std::process::{Command, Output};

use insta::assert_snapshot;

/// Runs `leaver` in a folder of its own, which `files` are written to, with nothing of this environment.
fn leaver(files: &[(&str, &str)], arguments: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("a file in it");
    }
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    transcript(&run(folder.path(), &arguments), folder.path())
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leaver"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("LANG", "C.UTF-8")
        .output()
        .expect("the program runs")
}

/// What a person sees, with what differs from run to run masked and escapes spelled out.
fn transcript(output: &Output, folder: &Path) -> String {
    let folder = folder.display().to_string();
    let text = |bytes: &[u8]| masked(&String::from_utf8_lossy(bytes).replace(&folder, "[folder]"));
    let mut out = String::new();
    for (stream, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        if !bytes.is_empty() {
            out += &format!("--- {stream}\n{}", text(bytes));
        }
    }
    out + &format!("--- exit {}", output.status.code().unwrap_or(-1))
}

/// How long a look took is left out, with the padding before it, and escapes become the names of their colours.
fn masked(text: &str) -> String {
    let mut out: String = text.lines().map(|line| without_ms(line) + "\n").collect();
    out = out.replace("\u{1b}[0m", "{/}");
    for (code, name) in [("1", "bold"), ("2", "dim"), ("31", "red"), ("32", "green"), ("33", "yellow"), ("36", "cyan")]
    {
        out = out.replace(&format!("\u{1b}[{code}m"), &format!("{{{name}}}"));
    }
    out
}

/// The line up to a number with `ms` behind it, or all of it.
fn without_ms(line: &str) -> String {
    let bare = line.trim_end_matches("\u{1b}[0m");
    match bare.strip_suffix(" ms").map(|rest| rest.trim_end_matches(|c: char| c.is_ascii_digit())) {
        Some(rest) => rest.trim_end().trim_end_matches("\u{1b}[2m").trim_end().to_owned(),
        None => line.to_owned(),
    }
}

#[test]
fn alone_it_names_its_verbs_in_four_groups() {
    assert_snapshot!(leaver(&[], ""), @r"
    --- stdout
    leaver 0.1.0: When someone leaves, their sessions end

    Usage: leaver VERB [OPTIONS]

    Look:
      identity list      List who is known
      identity show      Show somebody's state, and why it is so
      identity sessions  Show somebody's live sessions in every downstream
      identity trace     Show every hop of somebody's latest change
      events tail        Print events as they happen, one CloudEvent per line
      source list        List the sources and how they do
      plan list          List plans
      plan show          Show a plan with its rows, those of privileged people first
      hold list          List orders about many people that wait, or did
      hold show          Show a hold with its people, privileged ones first
      owed list          List what no downstream has answered yet, longest first
      parked list        List what sources sent and nobody could understand
      policy replay      Show what a policy would have made of what has happened
      ledger check       Look for broken histories and forgotten work

    Act:
      revoke             End somebody's sessions now
      lock               Keep somebody out for a while, also by ending what begins
      unlock             Let somebody in again who is locked
      source plan        Show what reading a source would change, and change nothing
      source sync        Read a source now and apply it
      source pause       Stop a source from being read, now
      source resume      Let a paused source be read again
      plan approve       Apply exactly what a held plan says
      plan reject        Refuse exactly what a held plan says
      hold approve       Carry out exactly what is held
      hold reject        Never carry out what is held
      owed retry         Try again now what is owed, and see whether it is answered
      parked retry       Carry out again what a source sent, once that is mended

    Run:
      up                 Run every part in one process, in the foreground
      sync-worker        Read sources and receive SCIM, in a process of its own
      revoker            Decide and end sessions, in a process of its own
      console            Serve the admin API, in a process of its own
      demo               Watch people leave a small company, and their sessions end
      migrate            Bring the database to the newest schema

    Set up:
      check              Validate configuration and policy, and try every connection
      policy test        Decide the examples of the policy
      generate           Write the personnel file of a made-up organisation
      token create       Make a token and print it, this once
      token list         List tokens: whose, and until when
      token revoke       Accept a token no longer
      config schema      Print the JSON schema of the configuration
      completions        Print completions for a shell

      -c, --config <FILE>    The configuration [default: leaver.yaml]
          --server <URL>     The server to talk to, instead of the configured one
                             [env: LEAVER_SERVER]
      -o, --output <OUTPUT>  How answers are written; json is one document on stdout
                             [default: text] [possible values: text, json]
          --color <WHEN>     auto: on a terminal, unless NO_COLOR is set [default:
                             auto] [possible values: auto, always, never]
      -h, --help             Print help
      -V, --version          Print version

    Exit codes:
      0  done
      1  failed, or WHO unknown
      2  usage or configuration
      3  held, --wait timed out, or not every downstream reached the state
    --- exit 0
    ");
}

#[test]
fn help_is_a_sentence_two_examples_flags_and_exit_codes() {
    assert_snapshot!(leaver(&[], "revoke --help"), @r"
    --- stdout
    End somebody's sessions now

    Usage: leaver revoke [OPTIONS] --reason <R> [WHO]

    Examples:
      leaver revoke ana@example.com --reason 'stolen laptop'
      leaver revoke okta:00u1x9 --reason INC-7 --downstream web --wait verified

    Arguments:
      [WHO]  An id, a userName, an e-mail address, or source:X with a native id or
             externalId

    Options:
          --subject <VALUE>  Instead of WHO: what the one downstream calls somebody
                             whom no source knows
          --group <NAME>     Instead of WHO: everybody in this group now;
                             source/NAME where several are called so
          --reason <R>       Why; it is kept in the ledger
          --downstream <D>   Only there; may be given several times
          --lock <D>         Keep them out for so long as well
          --credentials      Revoke credentials, such as API keys, as well, where a
                             downstream can
          --dry-run          Show what would end, and end nothing
          --wait <STATE>     Wait until every downstream is in this state: ended,
                             looked again, or quiet for good [possible values:
                             applied, verified, settled]
          --timeout <D>      How long to wait [default: 30s]
      -h, --help             Print help

    Everywhere:
      -c, --config <FILE>    The configuration [default: leaver.yaml]
          --server <URL>     The server to talk to, instead of the configured one
                             [env: LEAVER_SERVER]
      -o, --output <OUTPUT>  How answers are written; json is one document on stdout
                             [default: text] [possible values: text, json]
          --color <WHEN>     auto: on a terminal, unless NO_COLOR is set [default:
                             auto] [possible values: auto, always, never]

    Exit codes:
      0  done
      1  failed, or WHO unknown
      2  usage or configuration
      3  held, --wait timed out, or not every downstream reached the state
    --- exit 0
    ");
    assert_snapshot!(leaver(&[], "plan approve --help --color always"), @r"
    --- stdout
    Apply exactly what a held plan says

    {bold}Usage:{/} {cyan}leaver plan approve{/} [OPTIONS] <ID>

    {bold}Examples:{/}
      leaver plan approve 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8
      leaver plan approve 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8 --timeout 1h

    {bold}Arguments:{/}
      <ID>  The whole id

    {bold}Options:{/}
          {cyan}--timeout{/} <D>  How long to wait for the end [default: 10m]
      {cyan}-h{/}, {cyan}--help{/}         Print help

    {bold}Everywhere:{/}
      {cyan}-c{/}, {cyan}--config{/} <FILE>    The configuration [default: leaver.yaml]
          {cyan}--server{/} <URL>     The server to talk to, instead of the configured one
                             [env: LEAVER_SERVER]
      {cyan}-o{/}, {cyan}--output{/} <OUTPUT>  How answers are written; json is one document on stdout
                             [default: text] [possible values: text, json]
          {cyan}--color{/} <WHEN>     auto: on a terminal, unless NO_COLOR is set [default:
                             auto] [possible values: auto, always, never]

    {bold}Exit codes:{/}
      0  done
      1  failed, or WHO unknown
      2  usage or configuration
      3  held, --wait timed out, or not every downstream reached the state
    --- exit 0
    ");
}

#[test]
fn a_group_without_a_verb_is_a_usage_error_that_shows_its_verbs() {
    let shown = leaver(&[], "source");
    assert!(shown.starts_with("--- stderr\nThe systems that know who may have access\n"), "{shown}");
    assert!(shown.ends_with("--- exit 2"), "{shown}");
}

#[test]
fn the_version_is_one_line() {
    assert_snapshot!(leaver(&[], "--version"), @r"
    --- stdout
    leaver 0.1.0
    --- exit 0
    ");
}

#[test]
fn a_mistyped_command_line_names_what_is_near() {
    assert_snapshot!(leaver(&[], "sorce list"), @r"
    --- stderr
    error: there is no verb `sorce`
    help: a similar verb is `source`
    --- exit 2
    ");
    assert_snapshot!(leaver(&[], "source lst --color=always"), @r"
    --- stderr
    {red}error{/}{bold}: there is no verb `lst`{/}
    help: a similar verb is `{cyan}list{/}`
    --- exit 2
    ");
    assert_snapshot!(leaver(&[], "identity list --querry finance"), @r"
    --- stderr
    error: --querry is not known here
    help: a similar flag is `--query`
    --- exit 2
    ");
    assert_snapshot!(leaver(&[], "events tail --type identity.suspendd"), @r"
    --- stderr
    error: `identity.suspendd` is no value for --type <T>
    known: identity.created, identity.updated, identity.activated, identity.suspended, identity.departed, identity.reinstated, identity.merged, identity.erased, group.created, group.updated, group.deleted, group.vanished, membership.added, membership.removed, credential.issued, credential.rotated, credential.expiring, credential.orphaned, credential.revoked, source.baselined, source.held, source.released, source.backed_off, source.recovered
    help: a similar value is `identity.suspended`
    --- exit 2
    ");
}

#[test]
fn a_wrong_value_says_what_a_right_one_is() {
    assert_snapshot!(leaver(&[], "revoke ana --reason lost --wait never"), @r"
    --- stderr
    error: `never` is no value for --wait <STATE>
    known: applied, verified, settled
    --- exit 2
    ");
    assert_snapshot!(leaver(&[], "source sync people --timeout 5q"), @r"
    --- stderr
    error: `5q` is no value for --timeout <D>
    help: a duration is a number with ms, s, m, h or d behind it, such as 30s
    --- exit 2
    ");
    assert_snapshot!(leaver(&[], "plan approve 0193a0f2"), @r"
    --- stderr
    error: `0193a0f2` is no value for <ID>
    help: what acts takes a whole id, such as 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8
    --- exit 2
    ");
    assert_snapshot!(leaver(&[], "plan list --server localhost:8471"), @r"
    --- stderr
    error: `localhost:8471` is no value for --server <URL>
    help: a server is written http://HOST:PORT or https://HOST
    --- exit 2
    ");
}

#[test]
fn what_is_missing_or_contradictory_is_named() {
    assert_snapshot!(leaver(&[], "revoke ana"), @r"
    --- stderr
    error: --reason <R> is missing
    help: leaver revoke --reason <R> <WHO>
    --- exit 2
    ");
    assert_snapshot!(leaver(&[], "revoke ana --reason lost --timeout 5s"), @r"
    --- stderr
    error: --wait <STATE> is missing
    help: leaver revoke --reason <R> --wait <STATE> --timeout <D> <WHO>
    --- exit 2
    ");
    assert_snapshot!(leaver(&[], "revoke --reason lost"), @r"
    --- stderr
    error: <WHO> is missing
    help: leaver revoke --reason <R> <WHO>
    --- exit 2
    ");
    assert_snapshot!(leaver(&[], "revoke ana --subject ghost --downstream web --reason lost"), @r"
    --- stderr
    error: [WHO] and --subject <VALUE> exclude each other
    help: leaver revoke --reason <R> --downstream <D> <WHO>
    --- exit 2
    ");
    assert_snapshot!(leaver(&[], "revoke --subject ghost --reason lost"), @r"
    --- stderr
    error: --downstream <D> is missing
    help: leaver revoke --reason <R> --downstream <D> --subject <VALUE> [WHO]
    --- exit 2
    ");
    let two = "revoke --subject ghost --downstream web --downstream shop --reason lost --server http://127.0.0.1:1";
    assert_snapshot!(leaver(&[], two), @r"
    --- stderr
    error: --subject is what one downstream calls somebody
    help: name that downstream, and no other
    --- exit 2
    ");
    assert_snapshot!(leaver(&[], "token create --source okta --admin jo"), @r"
    --- stderr
    error: --source <NAME> and --admin <NAME> exclude each other
    help: leaver token create <--source <NAME>|--admin <NAME>>
    --- exit 2
    ");
}

#[test]
fn without_a_server_the_address_is_named() {
    assert_snapshot!(leaver(&[], "identity list --server http://127.0.0.1:1"), @r"
    --- stderr
    error: nobody answers at http://127.0.0.1:1
    help: start leaver up, or name another with --server
    --- exit 1
    ");
    let config = [("leaver.yaml", "http: { admin: \"127.0.0.1:1\" }\n")];
    assert_snapshot!(leaver(&config, "identity show ana --color always"), @r"
    --- stderr
    {red}error{/}{bold}: nobody answers at http://127.0.0.1:1{/}
    help: start leaver up, or name another with --server
    --- exit 1
    ");
    let config = [("leaver.yaml", "http: { admin: \"127.0.0.1:0\" }\n")];
    assert_snapshot!(leaver(&config, "plan list"), @r"
    --- stderr
    error: nobody answers: http.admin has port 0, and no server has said which it took
    help: start leaver up, or name another with --server
    --- exit 1
    ");
}

#[test]
fn verbs_that_talk_to_a_server_need_no_secret_of_the_configuration() {
    let config = [("leaver.yaml", "database: { url: \"env:NOT_SET\" }\nhttp: { admin: \"127.0.0.1:1\" }\n")];
    assert_snapshot!(leaver(&config, "token list"), @r"
    --- stderr
    error: nobody answers at http://127.0.0.1:1
    help: start leaver up, or name another with --server
    --- exit 1
    ");
    assert_snapshot!(leaver(&config, "check"), @r#"
    --- stderr
    error: the environment variable `NOT_SET` is not set
     --> leaver.yaml:1:18
    1 | database: { url: "env:NOT_SET" }
      |                  ^^^^^^^^^^^^^
    help: set it where leaver is started, or name a file: `file:PATH` instead of `env:NOT_SET`
    --- exit 2
    "#);
}

#[test]
fn an_unknown_key_is_shown_where_it_stands() {
    let config = [("leaver.yaml", "data_dir: data\nhands: { mas: 50 }\n")];
    assert_snapshot!(leaver(&config, "up"), @r"
    --- stderr
    error: unknown key `mas`
     --> leaver.yaml:2:10
    2 | hands: { mas: 50 }
      |          ^^^
    known: mass
    help: a similar key is `mass`
    --- exit 2
    ");
    assert_snapshot!(leaver(&config, "source list --color always"), @r"
    --- stderr
    {red}error{/}{bold}: unknown key `mas`{/}
     {dim}-->{/} leaver.yaml:2:10
    {dim}2 |{/} hands: { mas: 50 }
    {dim}  |{/}          {red}^^^{/}
    known: mass
    help: a similar key is `{cyan}mass{/}`
    --- exit 2
    ");
}

#[test]
fn without_a_configuration_it_says_how_to_name_one() {
    assert_snapshot!(leaver(&[], "check"), @r"
    --- stderr
    error: there is no configuration
     --> leaver.yaml
    help: name one with `leaver up -c FILE`; examples/leaver.yaml is one to begin with
    --- exit 2
    ");
}

#[test]
fn a_role_alone_names_what_it_needs_to_meet_the_others() {
    assert_snapshot!(leaver(&[("leaver.yaml", "")], "sync-worker"), @r#"
    --- stderr
    error: `leaver sync-worker` shares its work with other processes, and leaver.yaml has no database.url and no bus.kafka
    help: add `database: { url: "env:DATABASE_URL" }` and `bus: { kafka: { brokers: "HOST:9092" } }`; or run everything in one process: `leaver up`
    --- exit 2
    "#);
    let config = [("leaver.yaml", "database: { url: \"postgres://127.0.0.1:1/leaver\" }\n")];
    assert_snapshot!(leaver(&config, "revoker"), @r#"
    --- stderr
    error: `leaver revoker` shares its work with other processes, and leaver.yaml has no bus.kafka
    help: add `bus: { kafka: { brokers: "HOST:9092" } }`; or run everything in one process: `leaver up`
    --- exit 2
    "#);
    let config = [("leaver.yaml", "bus: { kafka: { brokers: \"127.0.0.1:1\" } }\n")];
    assert_snapshot!(leaver(&config, "console"), @r#"
    --- stderr
    error: `leaver console` shares its work with other processes, and leaver.yaml has no database.url
    help: add `database: { url: "env:DATABASE_URL" }`; or run everything in one process: `leaver up`
    --- exit 2
    "#);
}

/// A database and a Kafka that are not there: enough to see what comes before them.
const APART: &str = "
data_dir: data
database: { url: \"postgres://leaver:hunter2@127.0.0.1:1/leaver\" }
bus: { kafka: { brokers: \"127.0.0.1:1\" } }
";

#[test]
fn a_role_is_there_once_per_data_dir() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("leaver.yaml"), APART).expect("a file in it");
    let run_dir = folder.path().join("data/run");
    std::fs::create_dir_all(&run_dir).expect("a folder for locks");
    std::fs::write(run_dir.join("revoker.lock"), "4711\n").expect("a lock");
    let lock = std::fs::File::open(run_dir.join("revoker.lock")).expect("the lock");
    lock.lock().expect("nobody else has it");
    let told = |role: &str| transcript(&run(folder.path(), &[role]), folder.path());
    assert_snapshot!(told("revoker"), @r"
    --- stderr
    error: another leaver (process 4711) is the revoker of [folder]/data; stop it, or give this one a data_dir of its own: LEAVER__DATA_DIR=DIR
    --- exit 1
    ");
    assert_snapshot!(told("up"), @r"
    --- stderr
    error: another leaver (process 4711) is the revoker of [folder]/data; stop it, or give this one a data_dir of its own: LEAVER__DATA_DIR=DIR
    --- exit 1
    ");
    assert_snapshot!(told("console"), @r"
    --- stderr
    error: the database at 127.0.0.1:1 is not usable
    caused by: the database could not be reached
    caused by: error communicating with database: Connection refused (os error 111)
    caused by: Connection refused (os error 111)
    --- exit 1
    ");
    drop(lock);
    assert_snapshot!(told("revoker"), @r"
    --- stderr
    error: the database at 127.0.0.1:1 is not usable
    caused by: the database could not be reached
    caused by: error communicating with database: Connection refused (os error 111)
    caused by: Connection refused (os error 111)
    --- exit 1
    ");
}

/// Without what librdkafka says of a broker, which tells how long it took.
fn without_broker(shown: &str) -> String {
    let lines: Vec<&str> = shown.lines().filter(|line| !line.contains("/bootstrap: ")).collect();
    lines.join("\n")
}

#[test]
fn check_looks_at_kafka_and_says_what_subscribers_are_told() {
    let config = "
bus: { kafka: { brokers: \"127.0.0.1:1\" } }
publish: { hmac_key: \"file:key\", subjects: { corp_sub: 'identity.id', mail: 'hmac(identity.email)' } }
";
    let files = [("leaver.yaml", config), ("key", "0123456789abcdef0123456789abcdef\n")];
    assert_snapshot!(without_broker(&leaver(&files, "check")), @r"
    --- stdout
    ✓ leaver.yaml  0 sources, 0 downstreams, all secrets found
    ✓ policy       built-in, 2 rules
    ✓ database     embedded PostgreSQL, will live in leaver-data/postgres
    ✗ bus          the bus could not be reached
                   caused by: Kafka does not answer
                   help: start it, or mend bus.kafka in leaver.yaml
    ✓ publish      corp_sub = identity.id, mail = hmac(identity.email)
    1 failed
    --- exit 1
    ");
    let files = [("leaver.yaml", "publish: { subjects: { corp_sub: identity.id } }\n")];
    assert_snapshot!(leaver(&files, "check"), @r#"
    --- stdout
    ✓ leaver.yaml  0 sources, 0 downstreams, all secrets found
    ✓ policy       built-in, 2 rules
    ✓ database     embedded PostgreSQL, will live in leaver-data/postgres
    ! publish      there is no bus.kafka, so nobody is told the names of subjects
                   help: add `bus: { kafka: { brokers: "HOST:9092" } }`
    1 warning
    --- exit 0
    "#);
    let config = "
bus: { kafka: { brokers: \"127.0.0.1:1\" } }
publish: { allow_personal_data: true, subjects: { mail: identity.email } }
";
    assert_snapshot!(without_broker(&leaver(&[("leaver.yaml", config)], "check")), @r"
    --- stdout
    ✓ leaver.yaml  0 sources, 0 downstreams, all secrets found
    ✓ policy       built-in, 2 rules
    ✓ database     embedded PostgreSQL, will live in leaver-data/postgres
    ✗ bus          the bus could not be reached
                   caused by: Kafka does not answer
                   help: start it, or mend bus.kafka in leaver.yaml
    ! publish      personal data may stand on the bus as it is: mail = identity.email
                   help: remove `publish.allow_personal_data` and write `hmac(…)`
    1 failed, 1 warning
    --- exit 1
    ");
}

const PEOPLE: (&str, &str) = ("people.csv", "employeeNumber,userName,status\n1042,ana@example.com,active\n");

#[test]
fn check_names_the_connection_that_fails() {
    let config = "
sources:
  people: { connector: { type: csv, path: people.csv, key: employeeNumber, settle: 0s } }
downstreams:
  web:
    adapter: { type: redis, url: \"redis://:hunter2@127.0.0.1:1\", layout: connect-redis, path: passport.user }
    subject: identity.userName
policy: policy.yaml
";
    let policy = "
rules:
  - { name: leaver, on: [identity.departed], do: [revoke_sessions, revoke_refresh] }
  - { name: mover, on: [identity.updated], do: [recheck] }
examples:
  - { given: { event: { type: identity.departed } }, expect: [revoke_sessions, revoke_refresh] }
";
    let files = [("leaver.yaml", config), ("policy.yaml", policy), PEOPLE];
    let shown = leaver(&files, "check");
    assert_snapshot!(shown, @r#"
    --- stdout
    ✓ leaver.yaml  1 source, 1 downstream, all secrets found
    ✓ policy.yaml  2 rules, 1 example passes
    ! rule "mover"  recheck is unsupported by web
                   help: add `else: revoke_sessions`
    ✓ database     embedded PostgreSQL, will live in leaver-data/postgres
    ✓ people       [folder]/people.csv, 1 row, key employeeNumber unique
    ✗ web          the downstream could not be reached
                   caused by: Connection refused (os error 111)
                   help: start it, or mend downstreams.web in leaver.yaml
    DOWNSTREAM  ADAPTER  FINDS  SESSIONS  REFRESH  TTL  RECHECK  AUTH TIME
    web         redis    scan   yes       -        yes  -        unknown
    1 failed, 1 warning
    --- exit 1
    "#);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_snapshot!(leaver(&files, "check --color always"), @r#"
    --- stdout
    {green}✓{/} {bold}leaver.yaml{/}  1 source, 1 downstream, all secrets found
    {green}✓{/} {bold}policy.yaml{/}  2 rules, 1 example passes
    {yellow}!{/} {bold}rule "mover"{/}  recheck is unsupported by web
                   help: add `{cyan}else: revoke_sessions{/}`
    {green}✓{/} {bold}database{/}     embedded PostgreSQL, will live in leaver-data/postgres
    {green}✓{/} {bold}people{/}       [folder]/people.csv, 1 row, key employeeNumber unique
    {red}✗{/} {bold}web{/}          the downstream could not be reached
                   caused by: Connection refused (os error 111)
                   help: start it, or mend downstreams.web in leaver.yaml
    {bold}DOWNSTREAM{/}  {bold}ADAPTER{/}  {bold}FINDS{/}  {bold}SESSIONS{/}  {bold}REFRESH{/}  {bold}TTL{/}  {bold}RECHECK{/}  {bold}AUTH TIME{/}
    web         redis    scan   yes       -        yes  -        unknown
    1 failed, 1 warning
    --- exit 1
    "#);
}

#[test]
fn check_names_a_database_that_cannot_be_reached_without_its_password() {
    let config = [("leaver.yaml", "database: { url: \"postgres://leaver:hunter2@127.0.0.1:1/leaver\" }\n")];
    assert_snapshot!(leaver(&config, "check"), @r"
    --- stdout
    ✓ leaver.yaml  0 sources, 0 downstreams, all secrets found
    ✓ policy       built-in, 2 rules
    ✗ database     PostgreSQL cannot be used: Connection refused (os error 111)
                   help: start it, or mend database.url
    1 failed
    --- exit 1
    ");
}

#[test]
fn check_as_json_is_one_document() {
    let config = "downstreams:\n  web:\n    adapter: { type: redis, url: \"redis://127.0.0.1:1\", layout: connect-redis, path: passport.user }\n    subject: identity.userName\n";
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("leaver.yaml"), config).expect("a file in it");
    let output = run(folder.path(), &["check", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(report["failed"], 1);
    let web = &report["checks"].as_array().expect("checks")[3];
    assert_eq!((&web["what"], &web["name"], &web["state"]), (&"downstream".into(), &"web".into(), &"failed".into()));
    assert!(web["ms"].is_u64() && web["help"].is_string(), "{web}");
    assert_eq!(report["downstreams"][0]["finds"], "scan");
    assert!(output.stderr.is_empty());
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn policy_test_names_the_examples_that_fail() {
    let policy = "
rules:
  - { name: leaver, on: [identity.departed], do: [revoke_sessions] }
examples:
  - { given: { event: { type: identity.departed } }, expect: [revoke_sessions] }
  - { given: { event: { type: identity.departed } }, expect: [revoke_sessions, lock] }
  - { given: { event: { type: identity.updated } }, expect: [recheck] }
";
    let files = [("leaver.yaml", "policy: policy.yaml\n"), ("policy.yaml", policy)];
    assert_snapshot!(leaver(&files, "policy test"), @r"
    --- stdout
    ✗ policy.yaml:6  expected revoke_sessions, lock, got revoke_sessions
    ✗ policy.yaml:7  expected recheck, got nothing
    2 of 3 examples failed
    --- exit 1
    ");
    assert_snapshot!(leaver(&files, "policy test --color always"), @r"
    --- stdout
    {red}✗{/} {bold}policy.yaml:6{/}  expected revoke_sessions, lock, got revoke_sessions
    {red}✗{/} {bold}policy.yaml:7{/}  expected recheck, got nothing
    2 of 3 examples failed
    --- exit 1
    ");
    let passing = policy.lines().take(5).map(|line| format!("{line}\n")).collect::<String>();
    let files = [("leaver.yaml", "policy: policy.yaml\n"), ("policy.yaml", passing.as_str())];
    assert_snapshot!(leaver(&files, "policy test"), @r"
    --- stdout
    1 example passes
    --- exit 0
    ");
    assert_snapshot!(leaver(&[("leaver.yaml", "")], "policy test"), @r"
    --- stderr
    the built-in policy has no examples
    --- exit 0
    ");
}

#[test]
fn the_schema_is_one_document_of_json() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = run(folder.path(), &["config", "schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert!(schema["properties"]["sources"].is_object(), "{schema}");
    assert!(output.stderr.is_empty() && output.status.success());
}

#[test]
fn completions_know_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let shown = leaver(&[], &format!("completions {shell}"));
        assert!(shown.contains("approve") && shown.ends_with("--- exit 0"), "{shown}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_leaver"))
        .args(["config", "schema"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program runs");
    drop(program.stdout.take());
    let output = program.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn an_organisation_is_generated_with_its_manifest_and_a_configuration_that_is_never_replaced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let generate = |arguments: &str| {
        let words = format!("generate small-10k --people 50 --out org {arguments}");
        transcript(&run(folder.path(), &words.split_whitespace().collect::<Vec<_>>()), folder.path())
    };
    let read =
        |name: &str| std::fs::read_to_string(folder.path().join("org").join(name)).expect("a file that was written");
    assert_snapshot!(generate(""), @r"
    --- stdout
    org/people.csv, 50 rows, day 0 of small-10k, seed 1
    --- exit 0
    ");
    let first = read("people.csv");
    assert_eq!(first.lines().count(), 51);
    assert!(read("people.json").contains(r#""rows":50"#));
    std::fs::write(folder.path().join("org/leaver.yaml"), "mine").expect("a file in it");
    assert!(generate("--day 200 -o json").contains(r#""day": 200"#));
    assert_ne!(read("people.csv"), first);
    assert_eq!(read("leaver.yaml"), "mine");
    assert!(!folder.path().join("org/people.csv.part").exists());
}

#[test]
fn the_generated_configuration_is_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    run(folder.path(), &["generate", "small-10k", "--people", "20", "--out", "."]);
    let shown = transcript(&run(folder.path(), &["policy", "test"]), folder.path());
    assert!(shown.ends_with("--- exit 0"), "{shown}");
}
