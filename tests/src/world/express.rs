//! The express application beside these tests, and browsers that are signed in to it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reqwest::header::{COOKIE, SET_COOKIE};
use serde_json::json;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use super::{Answer, Process, SOON, Site, eventually, services, until};

/// A running application.
pub struct Express {
    base: String,
    /// Ends with this, and prints its output if the story fails.
    _process: Process,
}

impl Express {
    /// On the sessions of `downstream`. An application that `resaves` writes them at the end of every request.
    pub(super) async fn start(site: &Site, downstream: &str, resaves: bool) -> Self {
        let app = app().await;
        let mut command = Command::new("node");
        command.arg("app.js").current_dir(app).env("PORT", "0");
        command.env("REDIS_URL", services::redis_url()).env("PREFIX", site.names().prefix(downstream));
        command.env("RESAVE", resaves.to_string());
        let mut process = Process::start(command, &site.path(""), "express");
        let port = until(SOON, "the express application listens, or has ended", async || {
            let port = process.lines().iter().find_map(|line| line.strip_prefix("listening ").map(str::to_owned));
            port.or_else(|| process.has_ended().then(String::new))
        })
        .await;
        assert!(!port.is_empty(), "the express application does not start");
        Self { base: format!("http://127.0.0.1:{port}"), _process: process }
    }

    /// A browser in which nobody is signed in.
    pub fn browser(&self) -> Browser {
        Browser::at(&self.base)
    }

    /// A browser in which `user` has just signed in.
    pub async fn sign_in(&self, user: &str) -> Browser {
        let mut browser = self.browser();
        browser.login(user).await;
        browser
    }
}

/// Keeps its cookie as browsers do.
#[derive(Clone)]
pub struct Browser {
    http: reqwest::Client,
    base: String,
    cookie: Option<String>,
}

impl Browser {
    /// One in which nobody is signed in, for an application that answers as the express one does.
    pub(super) fn at(base: &str) -> Self {
        Self { http: services::http(), base: base.to_owned(), cookie: None }
    }

    pub async fn login(&mut self, user: &str) {
        let request = self.http.post(format!("{}/login", self.base)).json(&json!({"user": user}));
        let answer = Answer::of(request).await.expect_status(200);
        let cookie =
            answer.headers.get(SET_COOKIE).expect("a login sets a cookie").to_str().expect("a cookie is ASCII");
        self.cookie = cookie.split(';').next().map(str::to_owned);
    }

    /// Who is signed in; `None` when the cookie is refused.
    pub async fn me(&self) -> Option<String> {
        let answer = Answer::of(self.get("/me")).await;
        match answer.status {
            200 => answer.json()["user"].as_str().map(str::to_owned),
            401 => None,
            status => panic!("{status} {}", answer.body),
        }
    }

    /// Waits until the cookie is refused.
    pub async fn is_signed_out(&self) {
        eventually(SOON, "the cookie is refused", async || self.me().await.is_none()).await;
    }

    /// Begins a request that has read its session, has changed it, and waits until it is released.
    pub async fn hold(&self, name: &str) -> InFlight {
        self.try_hold(name).await.expect("the request gets as far as its session")
    }

    /// The same, for a session that may be gone: `None` when the request is refused.
    pub async fn try_hold(&self, name: &str) -> Option<InFlight> {
        let request = tokio::spawn(Answer::of(self.get(&format!("/hold/{name}"))));
        let held = format!("{}/held/{name}", self.base);
        let is_held = until(SOON, "the request is in flight, or answered", async || {
            let is_held = Answer::of(self.http.get(&held)).await.json()["held"] == true;
            (is_held || request.is_finished()).then_some(is_held)
        })
        .await;
        is_held.then(|| InFlight { request, release: self.http.post(format!("{}/release/{name}", self.base)) })
    }

    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.get(format!("{}{path}", self.base));
        match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }
}

/// A request that has not been answered yet.
pub struct InFlight {
    request: JoinHandle<Answer>,
    release: reqwest::RequestBuilder,
}

impl InFlight {
    /// Lets it finish: the application writes the session as this request knows it.
    pub async fn release(self) {
        self.finish().await.expect_status(200);
    }

    /// Lets it finish, however that turns out.
    pub async fn finish(self) -> Answer {
        Answer::of(self.release).await.expect_status(204);
        self.request.await.expect("the request is answered")
    }
}

/// The application's folder, with its dependencies installed.
async fn app() -> &'static Path {
    static APP: OnceCell<PathBuf> = OnceCell::const_new();
    APP.get_or_init(async || {
        let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("express");
        if !app.join("node_modules").is_dir() {
            let mut install = tokio::process::Command::new("npm");
            install.args(["ci", "--no-audit", "--no-fund"]).current_dir(&app).stdout(Stdio::null());
            assert!(install.status().await.expect("npm starts").success(), "npm ci failed in {}", app.display());
        }
        app
    })
    .await
}
