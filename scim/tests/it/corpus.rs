//! Everything that the fuzzer is started with, and all it has found, holds in every build.

#[path = "../../fuzz/targets.rs"]
mod targets;

use std::path::Path;

fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut inputs = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        target(&std::fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0, "{} is empty", folder.display());
}

#[test]
fn every_filter_of_the_corpus_holds() {
    replay("filter", targets::filter);
}

#[test]
fn every_path_of_the_corpus_holds() {
    replay("path", targets::path);
}

#[test]
fn every_patch_of_the_corpus_holds() {
    replay("patch", targets::patch);
}

#[test]
fn every_body_of_the_corpus_holds() {
    replay("json", targets::json);
}
