//! The guide to held plans: every command that it names is run, and does what it says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tests::world::{Output, Person, SOON, World, eventually, people, person, text};

/// The commands of a guide, from lines of its blocks and from its sentences, without what stands for something else.
fn commands(guide: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guides").join(guide);
    let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = page.lines().filter(|line| line.starts_with("leaver "));
    let inline = page.split('`').skip(1).step_by(2).filter(|code| code.starts_with("leaver ") && !code.contains('\n'));
    let all = lines.chain(inline).map(|command| command.split('#').next().unwrap_or_default().trim().to_owned());
    all.collect()
}

/// A world, and the commands of the guide that were not run yet.
struct Reader {
    world: World,
    left: BTreeSet<String>,
}

impl Reader {
    /// Runs a command of the guide with these in place of its words in capitals, and of its example of an id.
    async fn runs(&mut self, command: &str, instead: &[(&str, &str)]) -> Output {
        assert!(self.left.remove(command), "the guide does not say {command:?}; left are {:?}", self.left);
        let words = command.split(' ').skip(1);
        let word = |word: &str| {
            let found = instead.iter().find(|(name, _)| *name == word);
            found.map_or_else(|| word.to_owned(), |(_, value)| (*value).to_owned())
        };
        let arguments: Vec<String> = words.map(word).collect();
        self.world.cli(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await
    }
}

#[tokio::test]
async fn whoever_follows_the_guide_to_held_plans_can_do_all_that_it_says() {
    let world = World::start(|names| {
        let people = people(", brake: { max_disable: \"5%\", min: 2 }");
        format!("sources:\n  people: {people}\ndownstreams:\n  web: {}\n", names.web())
    })
    .await;
    let staff: Vec<Person> = (1..=8).map(|n| person(1000 + n, &format!("user{n}"))).collect();
    world.hr(&staff).await.expect_code(0);
    let mut reader = Reader { world, left: commands("brake.md") };
    assert!(reader.left.len() >= 10, "{:?}", reader.left);

    // Beforehand.
    reader.world.hr_file(&staff[..4]);
    let source = [("NAME", "people")];
    reader.runs("leaver source plan NAME", &source).await.expect_code(3).expect_words(&["would be held", "user8"]);
    let sync = reader.runs("leaver source sync NAME", &source).await;
    sync.expect_code(3).expect_words(&["held"]);

    // Judge it.
    let held = reader.runs("leaver plan list --held", &[]).await.expect_code(0);
    held.expect_words(&["people", "4 disable"]);
    let listed = reader.world.ask(&["plan", "list", "--held"]).await;
    let plan = text(&listed["items"][0]["id"]);
    let beginning = [("0193a0f2", &plan[..13])];
    reader.runs("leaver plan show 0193a0f2", &beginning).await.expect_code(0).expect_words(&["user5", "inactive"]);
    let all = reader.runs("leaver plan show 0193a0f2 --all -o json", &beginning).await.expect_code(0).json();
    assert_eq!(all["items"].as_array().unwrap().len(), 4);
    let shown = reader.runs("leaver identity show WHO", &[("WHO", "user5")]).await.expect_code(0);
    shown.expect_words(&["active", "held"]);
    reader.runs("leaver source list", &[]).await.expect_code(0).expect_words(&["held", "1 plan"]);

    // Answer it.
    let id = [("ID", plan.as_str()), ("R", "cut"), ("WHO", "user8")];
    reader.runs("leaver plan reject ID --reason R", &id).await.expect_code(0).expect_words(&["4 changes rejected"]);
    reader.runs("leaver revoke WHO --reason R", &id).await.expect_code(0);
    reader.world.hr(&staff).await.expect_code(0);
    reader.world.hr(&staff[..4]).await.expect_code(3);
    let listed = reader.world.ask(&["plan", "list", "--held"]).await;
    let plan = text(&listed["items"][0]["id"]);
    let id = [("ID", plan.as_str())];
    reader.runs("leaver plan approve ID", &id).await.expect_code(0).expect_words(&["4 changes applied"]);
    reader.runs("leaver token create --admin jo", &[]).await.expect_code(0);

    // Without `--no-follow` it does not end, so it is only said of it that it shows these.
    assert!(reader.left.remove("leaver events tail"));
    // What is shown ends before the oldest transaction in flight, of whichever world on the server.
    eventually(SOON, "both answers are told", async || {
        let tail = reader.world.cli(&["events", "tail", "--type", "source.released", "--no-follow"]).await;
        let told = tail.expect_code(0).stdout;
        ["rejected", "applied"].iter().all(|answer| told.contains(answer))
    })
    .await;
    assert!(reader.left.is_empty(), "the guide says more than was tried: {:?}", reader.left);
}
