//! What others hold SCIM to: the checks of scim2-tester, which know nothing of Leaver.

use std::process::Command;

use tests::world::{World, conformance};

#[tokio::test]
async fn b1_34_the_conformance_checks_of_python_scim_pass() {
    let world = World::start(|names| names.usual()).await;
    let (url, token) = world.scim_address("okta");
    let mut check = Command::new(conformance().await);
    check.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scim/check.py")).env("SCIM_URL", url).env("SCIM_TOKEN", token);
    let output = tokio::task::spawn_blocking(move || check.output()).await.unwrap().unwrap();
    let (said, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complaints}");
}
