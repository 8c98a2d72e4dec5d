//! What the configuration refuses before any connection; the rest needs a server and stands in the conformance suite.

use crate::{Config, ConfigError, Match};

fn build(find: &str, end: &str, url: &str) -> Result<(), ConfigError> {
    let json = serde_json::json!({ "type": "sql", "url": url, "find": find, "end": end });
    serde_json::from_value::<Config>(json).unwrap().build(Match::Exact).map(drop)
}

const FIND: &str = "select id from sessions where user_name = $1";
const END: &str = "delete from sessions where id = $2";
const URL: &str = "postgres://leaver:pw@localhost/portal";

#[test]
fn a_statement_that_would_act_on_nobody_or_everybody_is_refused() {
    assert!(build(FIND, END, URL).is_ok());
    let error = build("select id from sessions", END, URL).unwrap_err();
    assert_eq!(error.to_string(), "`find` has to use $1");
    let error = build(FIND, "delete from sessions where user_name = $1", URL).unwrap_err();
    assert_eq!(error.to_string(), "`end` has to use $2");
}

#[test]
fn an_address_of_another_database_is_refused_and_not_printed() {
    for url in ["mysql://leaver:pw@localhost/portal", "postgres://leaver:pw@localhost:port/portal"] {
        let error = build(FIND, END, url).unwrap_err();
        assert!(!format!("{error:?}").contains("pw"), "{error:?}");
    }
}
