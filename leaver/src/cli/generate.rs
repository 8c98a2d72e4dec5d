//! `generate`: a folder with the personnel file of an organisation, to see how Leaver does at that size.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use anyhow::Context as _;
use organisation::{Organisation, Profile, Written};
use serde_json::json;

use crate::show::text::count;

use super::failure::{Exit, Failure};
use super::screen::Screen;
use super::{args, progress, shown};

const FILE: &str = "people.csv";
const MANIFEST: &str = "people.json";
const CONFIGURATION: &str = "leaver.yaml";

/// What a person would write to try it.
const SNIPPET: &str = r#"# Written by `leaver generate`; never replaced.
data_dir: ./leaver-data
sources:
  people:
    connector: { type: csv, path: people.csv, key: employeeNumber, manifest: people.json }
    correlate: [employeeNumber]
    authority: [lifecycle, manager]
groups: { privileged: [admins] }
"#;

pub fn run(screen: &Screen, wish: &args::Generate) -> Result<Exit, Failure> {
    let profile = Profile::named(&wish.profile).context("the parser knows the profiles")?;
    let organisation = Organisation::new(profile, wish.seed).on_day(wish.day);
    let organisation = wish.people.map_or(organisation, |people| organisation.of_people(people));
    let written = files(screen, &organisation, &wish.out)?;
    if screen.is_json() {
        screen.document(&json!({
            "profile": profile.name, "seed": wish.seed, "day": wish.day, "path": wish.out.join(FILE), "rows": written.rows,
            "sha256": written.sha256,
        }))?;
    } else {
        let (path, rows) = (shown(&wish.out.join(FILE)), count(written.rows, "row"));
        screen.answer(&format!("{path}, {rows}, day {} of {}, seed {}\n", wish.day, profile.name, wish.seed))?;
    }
    screen.next(&format!("leaver up -c {}", shown(&wish.out.join(CONFIGURATION))));
    Ok(Exit::Done)
}

/// Each file is written beside its place and then moved there, the manifest last, so that whoever reads meanwhile sees an old
/// file, or that the two do not agree yet.
fn files(screen: &Screen, organisation: &Organisation, folder: &Path) -> anyhow::Result<Written> {
    let at = |name: &str| folder.join(name);
    let beside = |name: &str| folder.join(format!("{name}.part"));
    let refused = |path: &Path| format!("{} cannot be written", path.display());
    fs::create_dir_all(folder).with_context(|| refused(folder))?;
    let part = beside(FILE);
    let file = File::create(&part).with_context(|| refused(&part))?;
    let mut bar = progress::Counted::new(screen, "people", organisation.seats());
    let written = organisation::write(organisation, BufWriter::new(file), |done| bar.at(done));
    bar.end();
    let written = written.with_context(|| refused(&part))?;
    let manifest = json!({ "rows": written.rows, "sha256": written.sha256 }).to_string();
    fs::write(beside(MANIFEST), manifest + "\n").with_context(|| refused(&beside(MANIFEST)))?;
    for name in [FILE, MANIFEST] {
        fs::rename(beside(name), at(name)).with_context(|| refused(&at(name)))?;
    }
    if !at(CONFIGURATION).exists() {
        fs::write(at(CONFIGURATION), SNIPPET).with_context(|| refused(&at(CONFIGURATION)))?;
    }
    Ok(written)
}
