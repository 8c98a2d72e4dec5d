//! The guides for identity providers: every request that they show is sent, and answered as they say.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tests::world::{World, okta, text};
use url::Url;

/// One request of a guide, and what it says of the answer.
struct Shown {
    method: String,
    path: String,
    body: Option<String>,
    status: u16,
    /// What the answer holds among other things.
    holds: Option<Value>,
    /// Under which name the guide goes on to speak of the resource that this makes.
    named: Option<String>,
}

impl Shown {
    /// Reads a block as the guides write it: the request line, the body, and an arrow with the answer.
    fn read(block: &str) -> Self {
        let (request, answer) = block.split_once("→ ").unwrap_or_else(|| panic!("no answer is shown:\n{block}"));
        let (line, body) = request.split_once('\n').expect("a request line");
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let (answer, named) = match answer.trim().rsplit_once(" as ") {
            Some((answer, name)) => (answer, Some(name.to_owned())),
            None => (answer.trim(), None),
        };
        let (status, holds) = answer.split_once(' ').map_or((answer, None), |(status, holds)| (status, Some(holds)));
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            body: Some(body.trim()).filter(|body| !body.is_empty()).map(str::to_owned),
            status: status.parse().unwrap_or_else(|_| panic!("{status:?} is no status:\n{block}")),
            holds: holds.map(|holds| serde_json::from_str(holds).unwrap_or_else(|e| panic!("{e} in {holds:?}"))),
            named,
        }
    }
}

/// The requests of a guide, in its order.
fn shown(guide: &str) -> Vec<Shown> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides").join(guide);
    let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let blocks = page.split("```http\n").skip(1);
    blocks.map(|rest| Shown::read(rest.split_once("```").expect("the block ends").0)).collect()
}

/// `path` with its query encoded, as clients send it.
fn encoded(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let mut url = Url::parse("http://guide").expect("a URL");
    url.query_pairs_mut().extend_pairs(query.split('&').map(|pair| pair.split_once('=').expect("a parameter")));
    format!("{path}?{}", url.query().expect("there is a query"))
}

/// Whether `whole` says all that `part` says.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, part)| whole.get(name).is_some_and(|whole| holds(whole, part)))
        }
        _ => whole == part,
    }
}

async fn is_true(guide: &str) {
    let world = World::start(|_| format!("sources:\n  okta: {}\ngroups: {{ privileged: [admins] }}\n", okta(""))).await;
    let scim = world.scim("okta");
    let mut ids: HashMap<String, String> = HashMap::new();
    let requests = shown(guide);
    assert!(requests.len() >= 15, "{guide} shows its requests");
    for request in requests {
        let named =
            |text: &str| ids.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id));
        let (path, body) = (encoded(&named(&request.path)), request.body.as_deref().map(named));
        let place = format!("{guide}: {} {}", request.method, request.path);
        let answer = scim.raw(&request.method, &path, body).await;
        assert_eq!(answer.status, request.status, "{place}: {}", answer.body);
        if let Some(part) = &request.holds {
            let part: Value = serde_json::from_str(&named(&part.to_string())).unwrap();
            assert!(holds(&answer.json(), &part), "{place}: {part} is not in {}", answer.body);
        }
        if let Some(name) = request.named {
            ids.insert(name, text(&answer.json()["id"]));
        }
    }
}

#[tokio::test]
async fn what_entra_sends_is_answered_as_its_guide_says() {
    is_true("scim-entra.md").await;
}

#[tokio::test]
async fn what_okta_sends_is_answered_as_its_guide_says() {
    is_true("scim-okta.md").await;
}
