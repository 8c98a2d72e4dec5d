//! The only program: everything it does is a verb.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        // Only a second provider is an error, and nobody came before.
        eprintln!("a provider of cryptography was installed already");
    }
    leaver::cli::run().await
}
