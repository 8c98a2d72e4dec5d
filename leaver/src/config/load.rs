//! From a path to a configuration, or to everything that is wrong with it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use schemars::generate::SchemaSettings;
use serde_json::Value as Json;

use super::keys::Walk;
use super::problem::{Place, Problem, Problems, Report};
use super::secrets::Secrets;
use super::{Config, Environment, checks, document, overrides, rules, typed};

/// Reads the file at `path` and what it names, with the overrides of `environment`.
///
/// # Errors
/// Every problem at once, in the order of the file.
pub fn load(path: &Path, environment: &Environment) -> Result<Config, Problems> {
    read(path, environment, true)
}

/// The same for verbs that only talk to a server: references to secrets stay as they are written, since whoever looks at a
/// list need not hold the password of the database.
///
/// # Errors
/// As [`load`], without those of secrets.
pub fn load_without_secrets(path: &Path, environment: &Environment) -> Result<Config, Problems> {
    read(path, environment, false)
}

/// The same, with the policy in the file `draft` instead of the one that is configured; its path is the caller's.
///
/// # Errors
/// As [`load_without_secrets`].
pub fn load_with_draft(path: &Path, environment: &Environment, draft: &Path) -> Result<Config, Problems> {
    let absolute = std::path::absolute(draft).unwrap_or_else(|_| draft.to_owned());
    let mut environment = environment.clone();
    environment.insert("LEAVER__POLICY".to_owned(), absolute.display().to_string());
    read(path, &environment, false).map_err(|mut problems| {
        let of_draft = problems.0.iter_mut().filter(|problem| problem.file == absolute);
        of_draft.for_each(|problem| problem.file = draft.to_owned());
        problems
    })
}

/// The JSON schema (draft 2020-12) of the file, complete in itself.
pub fn schema() -> Json {
    let mut settings = SchemaSettings::draft2020_12();
    // References would have names such as `Config3`, which say nothing to a reader.
    settings.inline_subschemas = true;
    settings.into_generator().into_root_schema_for::<Config>().to_value()
}

static SCHEMA: LazyLock<Json> = LazyLock::new(schema);

fn read(path: &Path, environment: &Environment, resolve: bool) -> Result<Config, Problems> {
    let source = std::fs::read_to_string(path).map_err(|error| Problems(vec![unreadable(path, &error)]))?;
    understand(path, &source, environment, resolve)
}

/// The configuration that `source` is, as the content of the file at `path`.
pub(super) fn understand(
    path: &Path,
    source: &str,
    environment: &Environment,
    resolve: bool,
) -> Result<Config, Problems> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = absolute.parent().unwrap_or(Path::new("/"));

    let mut report = Report::new(path);
    let (root, mut text) = document::parse(source, &mut report);
    let Some(mut root) = root else { return Err(Problems(report.finish(&text))) };
    overrides::apply(&mut root, &SCHEMA, environment, &mut report);
    let written = root.clone();
    let secrets = Secrets { environment, folder, resolve };
    let usable = Walk { report: &mut report, secrets, masked: &mut text.secrets }.check(&mut root, &SCHEMA, "");
    let typed = if usable { typed::deserialize::<Config>(&mut root, &mut report) } else { None };
    let mut config = typed.unwrap_or_default();
    checks::check(&config, &written, &text, &mut report);

    let mut elsewhere = Vec::new();
    let mut read = |key, file: &Option<PathBuf>| {
        // Shown as the file itself was named; read from where it is.
        let shown = path.parent().unwrap_or(Path::new("")).join(file.as_ref()?);
        let rules = rules::read(&shown, key, &written, &mut report);
        rules.map_err(|problems| elsewhere.extend(problems)).ok().map(Arc::new)
    };
    let (policy, draft) = (read("policy", &config.policy), read("shadow", &config.shadow));
    config.rules = policy.unwrap_or(config.rules);
    config.draft = draft;
    absolutize(&mut config, folder);
    let mut problems = report.finish(&text);
    problems.extend(elsewhere);
    if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    let problem = Problem::new(path, Place::File {}, "the configuration cannot be read").caused_by(error);
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            let problem = Problem { message: "there is no configuration".to_owned(), causes: Vec::new(), ..problem };
            problem.help("name one with `leaver up -c FILE`; examples/leaver.yaml is one to begin with")
        }
        _ => problem,
    }
}

/// Makes the paths independent of the folder that the process runs in, and the same however the file was named.
fn absolutize(config: &mut Config, folder: &Path) {
    let below = |path: &mut PathBuf| {
        let joined = folder.join(&*path);
        *path = std::path::absolute(&joined).unwrap_or(joined);
    };
    below(&mut config.data_dir);
    let Config { policy, shadow, postgres, bus, sources, downstreams, .. } = config;
    [policy, shadow, &mut postgres.binaries, &mut postgres.archive].into_iter().flatten().for_each(below);
    bus.kafka.iter_mut().flat_map(|kafka| kafka.paths_mut()).for_each(below);
    downstreams.values_mut().filter_map(|downstream| downstream.adapter.file_mut()).for_each(below);
    for source in sources.values_mut() {
        match &mut source.connector {
            connectors::Config::Csv(csv) => std::iter::once(&mut csv.path).chain(&mut csv.manifest).for_each(below),
            connectors::Config::Keycloak(_) | connectors::Config::Scim(_) => {}
        }
    }
}
