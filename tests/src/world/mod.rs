//! One running Leaver with everything that a story needs around it, and the checks that follow every story.

mod admin;
mod answer;
mod broker;
mod clients;
mod collector;
mod conformance;
mod database;
mod express;
mod frameworks;
mod gateway;
mod hr;
mod member;
mod people;
mod portal;
mod postgres;
mod process;
mod reader;
mod receiver;
mod redis;
mod scim;
mod sentinel;
mod services;
mod sessions;
mod site;
mod subscriber;
mod topics;
mod waiting;
mod wire;

use serde_json::Value;

pub use admin::Admin;
pub use answer::Answer;
pub use broker::Broker;
pub use collector::{Collector, Span};
pub use conformance::conformance;
pub use database::Database;
pub use express::{Browser, Express, InFlight};
pub use frameworks::{Application, Framework};
pub use gateway::Gateway;
pub use hr::{Person, person};
pub use member::{Member, Role};
pub use portal::Portal;
pub use postgres::Postgres;
pub use process::{Output, Process};
pub use reader::Reader;
pub use receiver::{Receiver, Signal};
pub use redis::Redis;
pub use scim::Scim;
pub use sentinel::Sentinel;
pub use services::{http, kafka_brokers, redis_at, redis_url, unique};
pub use sessions::Store;
pub use site::{DATABASE, Names, Site, okta, people};
pub use subscriber::Subscriber;
pub use topics::{Message, Topics};
pub use waiting::{SOON, eventually, rounds, until};
pub use wire::Wire;

/// A Leaver that is up, in one process or in several. When it goes and the story has not failed, the ledger must be clean.
pub struct World {
    // End before their folder and their database go.
    members: Vec<Member>,
    site: Site,
    ledger_is_checked: bool,
}

impl World {
    /// Starts `leaver up` on a database of its own. `yaml` gives what follows `data_dir`, `http` and `database`.
    pub async fn start(yaml: impl FnOnce(&Names) -> String) -> Self {
        Self::at(Site::new(yaml).await).await
    }

    /// The same on Leaver's own embedded PostgreSQL.
    pub async fn start_embedded(yaml: impl FnOnce(&Names) -> String) -> Self {
        Self::at(Site::embedded(yaml)).await
    }

    /// Starts `leaver up` at a site that the story has prepared.
    pub async fn at(site: Site) -> Self {
        Self::of(site, &[(Role::Up, 1)]).await
    }

    /// Runs `leaver migrate`, and then so many processes of each role. Each has its own `data_dir`; they share the
    /// configuration, in which there must be a Kafka.
    pub async fn apart(site: Site, roles: &[(Role, usize)]) -> Self {
        site.run(&["migrate"]).await.expect_code(0);
        Self::of(site, roles).await
    }

    async fn of(site: Site, roles: &[(Role, usize)]) -> Self {
        let all = roles.iter().flat_map(|(role, count)| (0..*count).map(|number| (*role, number)));
        let members = all.map(|(role, number)| Member::start(&site, role, number)).collect();
        let mut world = Self { members, site, ledger_is_checked: true };
        for member in &mut world.members {
            member.ready().await;
        }
        world
    }

    /// Starts one more process.
    pub async fn add(&mut self, role: Role) {
        let number = self.members.iter().filter(|member| member.role() == role).count();
        let mut member = Member::start(&self.site, role, number);
        member.ready().await;
        self.members.push(member);
    }

    /// One of the processes of a role, counted from 0.
    pub fn member(&self, role: Role, number: usize) -> &Member {
        self.members.iter().filter(|member| member.role() == role).nth(number).expect("the world has this process")
    }

    pub fn member_mut(&mut self, role: Role, number: usize) -> &mut Member {
        self.members.iter_mut().filter(|member| member.role() == role).nth(number).expect("the world has this process")
    }

    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// Kills a process if it still runs, and starts it again.
    pub async fn start_again(&mut self, role: Role, number: usize) {
        let found = self.members.iter_mut().filter(|member| member.role() == role).nth(number);
        found.expect("the world has this process").start_again(&self.site).await;
    }

    /// A process that runs and serves the admin API.
    fn console(&self) -> &Member {
        self.running(&[Role::Console, Role::Up])
    }

    fn running(&self, roles: &[Role]) -> &Member {
        let found = self.members.iter().find(|member| member.runs() && roles.contains(&member.role()));
        // A story may look at what one that ended has left.
        let left = || self.members.iter().find(|member| roles.contains(&member.role()));
        found.or_else(left).unwrap_or_else(|| panic!("the world has none of {roles:?}"))
    }

    pub fn site(&self) -> &Site {
        &self.site
    }

    pub fn site_mut(&mut self) -> &mut Site {
        &mut self.site
    }

    /// Everything that the processes have printed so far, over all their starts.
    pub fn logs(&self) -> String {
        self.members.iter().map(Member::logs).collect()
    }

    /// What the latest start of the first process has printed on stdout.
    pub fn stdout(&self) -> Vec<String> {
        self.members[0].stdout()
    }

    /// Ends every process as a power cut would.
    pub fn kill9(&mut self) {
        self.members.iter_mut().for_each(Member::kill9);
    }

    /// Starts all again, killing what still runs.
    pub async fn restart(&mut self) {
        self.kill9();
        for member in &mut self.members {
            member.start_again(&self.site).await;
        }
    }

    /// Asks the first process to stop, and returns its exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.members[0].terminate().await
    }

    /// For a story that leaves the program down, or the ledger as it must not be.
    pub fn leave_ledger_unchecked(&mut self) {
        self.ledger_is_checked = false;
    }
}

/// The string in a JSON value.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a string was expected, not {value}")).to_owned()
}

impl Drop for World {
    fn drop(&mut self) {
        let told = std::thread::panicking() || !self.ledger_is_checked;
        let check = (!told).then(|| self.site.run_blocking(&["ledger", "check"], self.console().data()));
        // A graceful end also stops an embedded database, which would otherwise outlive the world.
        if self.site.is_embedded() {
            self.members.iter_mut().for_each(Member::end);
        }
        if let Some(check) = check.filter(|c| c.code != Some(0)) {
            panic!("the ledger is not clean after the story\n{check}");
        }
    }
}
