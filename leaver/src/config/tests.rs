//! What a configuration means, and that a broken one neither panics nor tells a secret.

use std::net::SocketAddr;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::style::View;

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The text without the indentation that it has here.
fn dedent(source: &str) -> String {
    source
        .trim_start_matches('\n')
        .trim_end_matches(' ')
        .lines()
        .map(|line| line.strip_prefix("        ").unwrap_or(line).to_owned() + "\n")
        .collect()
}

pub(super) fn read(source: &str, variables: &[(&str, &str)]) -> Result<Config, Problems> {
    load::understand(Path::new("leaver.yaml"), &dedent(source), &environment(variables), true)
}

pub(super) fn errors(source: &str, variables: &[(&str, &str)]) -> String {
    read(source, variables).unwrap_err().render(View::PLAIN)
}

#[test]
fn an_empty_file_and_empty_sections_mean_the_defaults() {
    for source in ["", "# nothing\n", "sources:\ndownstreams:\nhttp:\npolicy:\n", "---\n"] {
        let config = read(source, &[]).unwrap();
        assert_eq!(config.http, Http::default(), "{source}");
        assert_eq!((config.hands.mass, config.sources.len()), (None, 0));
        assert!(config.database.is_none());
        assert_eq!(config.data_dir, std::path::absolute("leaver-data").unwrap());
        assert!(config.rules.listens(lifecycle::EventType::IdentityDeparted));
    }
}

#[test]
fn the_environment_overrides_the_file() {
    let source = "
        http: { public: \"127.0.0.1:1\" }
        hands: { mass: 1 }
        sources:
          okta-prod: { connector: { type: scim, tokens: [a] }, correlate: [userName] }
        ";
    let config = read(
        source,
        &[
            ("LEAVER__HTTP__PUBLIC", "127.0.0.1:0"),
            ("LEAVER__HTTP__PROBES", "'127.0.0.1:9'"),
            ("LEAVER__HANDS__MASS", "7"),
            ("LEAVER__SOURCES__OKTA_PROD__CORRELATE", "[employeeNumber, userName]"),
            ("LEAVER__SOURCES__OKTA_PROD__CONNECTOR__TOKENS", "[\"env:TOKEN\"]"),
            ("LEAVER__DATABASE__URL", "{not: yaml"),
            ("LEAVER__BREAK_GLASS", "[root@example.com]"),
            ("LEAVER_TOKEN", "is no override"),
            ("TOKEN", "s3cret"),
        ],
    )
    .unwrap();
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    assert_eq!((config.http.public, config.http.probes), (address("127.0.0.1:0"), address("127.0.0.1:9")));
    assert_eq!(config.hands.mass, Some(7));
    assert_eq!(config.break_glass, ["root@example.com"]);
    assert_eq!(config.database.unwrap().url.expose(), "{not: yaml");
    let okta = &config.sources["okta-prod"];
    assert_eq!(okta.correlate, ["employeeNumber", "userName"]);
    let connectors::Config::Scim(scim) = &okta.connector else { panic!("{:?}", okta.connector) };
    assert_eq!(scim.tokens[0].expose(), "s3cret");
}

#[test]
fn paths_and_secret_files_are_relative_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leaver.yaml");
    std::fs::write(folder.path().join("db.url"), "postgres://leaver:s3cret@db/leaver\r\n").unwrap();
    std::fs::write(folder.path().join("policy.yaml"), "rules: []\n").unwrap();
    let source = "
        data_dir: ./data
        database: { url: \"file:db.url\" }
        sources:
          people: { connector: { type: csv, path: hr/people.csv, key: employeeNumber, manifest: /srv/people.json } }
        policy: policy.yaml
        ";
    std::fs::write(&path, dedent(source)).unwrap();
    let config = load(&path, &Environment::new()).unwrap();
    assert_eq!(config.data_dir, folder.path().join("data"));
    assert_eq!(config.database.as_ref().unwrap().url.expose(), "postgres://leaver:s3cret@db/leaver");
    assert!(!format!("{config:?}").contains("s3cret"));
    let connectors::Config::Csv(csv) = &config.sources["people"].connector else { panic!("no csv") };
    assert_eq!(csv.path, folder.path().join("hr/people.csv"));
    assert_eq!(csv.manifest.as_deref(), Some(Path::new("/srv/people.json")));
    assert!(config.rules.rules().is_empty());
}

#[test]
fn kafka_takes_brokers_alone_and_files_beside_the_configuration() {
    let config = read("bus: { kafka: { brokers: \"localhost:9092\" } }\n", &[]).unwrap();
    let kafka = config.bus.kafka.unwrap();
    assert_eq!((kafka.prefix.as_str(), kafka.group.as_str()), ("leaver", "leaver"));
    let source = "
        bus:
          kafka: { brokers: \"k:9093\", tls: { ca: ca.pem, key: /etc/key.pem }, sasl: { mechanism: PLAIN, username: u, password: \"env:P\" } }
        ";
    let kafka = read(source, &[("P", "s3cret"), ("LEAVER__BUS__KAFKA__PREFIX", "test")]).unwrap().bus.kafka.unwrap();
    let tls = kafka.tls.unwrap();
    assert_eq!(tls.ca, Some(std::path::absolute("ca.pem").unwrap()));
    assert_eq!(tls.key.as_deref(), Some(Path::new("/etc/key.pem")));
    assert_eq!(kafka.sasl.unwrap().password.expose(), "s3cret");
    assert_eq!(kafka.prefix.as_str(), "test");
    assert!(read("bus: {}\n", &[]).unwrap().bus.kafka.is_none(), "an empty section is the embedded one");
}

#[test]
fn names_for_subscribers_are_opaque_unless_somebody_says_otherwise() {
    let source = "
        publish:
          hmac_key: \"env:KEY\"
          subjects: { corp_sub: 'account(\"corp\").id', mail: hmac(identity.email) }
        sources: { corp: { connector: { type: scim } } }
        ";
    let config = read(source, &[("KEY", "0123456789abcdef")]).unwrap();
    assert_eq!(config.publish.subjects.keys().collect::<Vec<_>>(), ["corp_sub", "mail"]);
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    let personal = "publish: { subjects: { mail: identity.email } }\n";
    assert!(read(personal, &[]).is_err());
    assert!(read(personal, &[("LEAVER__PUBLISH__ALLOW_PERSONAL_DATA", "true")]).is_ok());
}

#[test]
fn a_receiver_of_signals_is_told_no_name_unless_somebody_says_so() {
    let hook = |subject: &str, more: &str| {
        format!(
            "downstreams:\n  hook:\n    adapter: {{ type: webhook, url: \"https://hooks.example/x\", secrets: [\"env:KEY\"]{more} }}\n    subject: {subject}\n"
        )
    };
    let key = [("KEY", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")];
    assert!(read(&hook("identity.id", ""), &key).is_ok());
    assert!(read(&hook("identity.email", ", allow_personal_data: true"), &key).is_ok());
    let refused = errors(&hook("identity.email", ""), &key);
    assert!(refused.contains("`identity.email` is personal") && refused.contains("leaver.yaml:4"), "{refused}");
}

#[test]
fn every_change_is_traced_unless_a_share_is_named() {
    let traces = |text: &str| read(text, &[]).unwrap().traces.unwrap();
    assert_eq!(traces("traces: { otlp: \"http://localhost:4318\" }\n").ratio, 1.0);
    assert_eq!(traces("traces: { otlp: \"https://otel.example\", ratio: 0.05 }\n").ratio, 0.05);
    assert!(read("", &[]).unwrap().traces.is_none());
}

#[test]
fn verbs_that_need_no_secret_do_not_ask_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leaver.yaml");
    let references = "database: { url: \"env:DATABASE_URL\" }\npublish: { hmac_key: \"env:KEY\" }\n";
    std::fs::write(&path, references).unwrap();
    assert!(load(&path, &Environment::new()).is_err());
    assert_eq!(
        load_without_secrets(&path, &Environment::new()).unwrap().database.unwrap().url.expose(),
        "env:DATABASE_URL"
    );
}

#[test]
fn the_schema_is_complete_in_itself_and_tells_secrets() {
    let schema = schema();
    assert!(!schema.to_string().contains("$ref"), "{schema:#}");
    assert_eq!(schema["properties"]["database"]["properties"]["url"]["format"], "password");
    let connector = &schema["properties"]["sources"]["additionalProperties"]["properties"]["connector"];
    assert!(
        connector["oneOf"].as_array().unwrap().iter().all(|one| one["additionalProperties"] == false),
        "{connector:#}"
    );
}

#[test]
fn the_example_is_a_configuration() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/leaver.yaml");
    let config = load(&path, &Environment::new()).unwrap_or_else(|problems| panic!("{}", problems.render(View::PLAIN)));
    assert_eq!(config.sources.keys().collect::<Vec<_>>(), ["okta", "people"]);
    let connectors::Config::Csv(csv) = &config.sources["people"].connector else { panic!("no csv") };
    assert!(csv.path.is_file(), "{}", csv.path.display());
}

/// Every kind of secret that a file may hold literally.
const SECRETIVE: &str = "
        database: { url: \"postgres://leaver:hunter2@db/leaver\" }
        publish: { hmac_key: \"hunter2hunter2hunter2\" }
        bus: { kafka: { brokers: k, sasl: { mechanism: PLAIN, username: u, password: \"hunter2\" } } }
        sources:
          okta:
            connector:
              type: scim
              tokens:
                - hunter2
                - \"hunter2\"
        downstreams:
          web:
            adapter: { type: redis, url: \"redis://:hunter2@cache\", layout: connect-redis, path: passport.user }
            subject: identity.userName
        ";

#[test]
fn a_broken_file_shows_no_secret_wherever_it_breaks() {
    let source = dedent(SECRETIVE);
    assert!(read(SECRETIVE, &[]).is_ok());
    let offsets = source.char_indices().map(|(at, _)| at);
    for at in offsets {
        let cut = errors_or_nothing(&source[..at]);
        assert!(!cut.contains("hunter"), "cut at {at}:\n{cut}");
        // A key that is broken apart is a key no more, and its value is nobody's secret.
        let inside_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if at > 0 && inside_word(source.as_bytes()[at]) && inside_word(source.as_bytes()[at - 1]) {
            continue;
        }
        for wrong in ["[", "}", "\"", "'", ":", "- ", "\n", "&a ", "*a ", "!x ", "%", "@", "\t", "| ", "#"] {
            let broken = errors_or_nothing(&format!("{}{wrong}{}", &source[..at], &source[at..]));
            assert!(!broken.contains("hunter2"), "{wrong:?} at {at}:\n{broken}");
        }
    }
}

fn errors_or_nothing(source: &str) -> String {
    let read = load::understand(Path::new("leaver.yaml"), source, &Environment::new(), true);
    read.err().map(|problems| problems.render(View::PLAIN)).unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn no_text_makes_it_panic(source in "\\PC*|[ -~\n\t]*", variable in "LEAVER__[A-Z_]*", value in "\\PC*") {
        let environment = Environment::from([(variable, value)]);
        let read = load::understand(Path::new("leaver.yaml"), &source, &environment, true);
        let _rendered = read.map_err(|problems| problems.render(View { width: Some(20), ..View::PLAIN }));
    }

    #[test]
    fn no_edit_of_a_good_file_makes_it_panic(at in 0..400_usize, gone in 0..40_usize, put in "[\\[\\]{}:,&*!|>'\"%@`# \n\ta-z0-9é-]{0,12}") {
        let source: Vec<char> = dedent(SECRETIVE).chars().collect();
        let (from, to) = (at.min(source.len()), (at + gone).min(source.len()));
        let edited: String = source[..from].iter().copied().chain(put.chars()).chain(source[to..].iter().copied()).collect();
        errors_or_nothing(&edited);
    }
}
