//! A Python with the conformance checks of others.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::sync::OnceCell;

/// The Python that has scim2-tester.
pub async fn conformance() -> &'static Path {
    static PYTHON: OnceCell<PathBuf> = OnceCell::const_new();
    PYTHON
        .get_or_init(async || {
            let root =
                Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the repository");
            let mut needs = tokio::process::Command::new(root.join("scripts/needs"));
            let needs = needs.arg("scim").stdout(Stdio::null()).status().await.expect("scripts/needs starts");
            assert!(needs.success(), "scripts/needs scim failed");
            root.join("target/scim/bin/python")
        })
        .await
}
