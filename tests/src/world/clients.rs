//! Who talks to a world: identity providers, administrators, probes, and the applications downstream.

use super::services::redis_url;
use super::{Admin, Express, Gateway, Member, Role, Scim, Store, World};

impl World {
    /// A SCIM client with the token that the configuration gives to `source`.
    pub fn scim(&self, source: &str) -> Scim {
        self.scim_with(source, &self.site.names().scim_token())
    }

    pub fn scim_with(&self, source: &str, token: &str) -> Scim {
        self.scim_of(self.running(&[Role::SyncWorker, Role::Up]), source, token)
    }

    /// Where a source pushes to, and with which token.
    pub fn scim_address(&self, source: &str) -> (String, String) {
        let public = self.running(&[Role::SyncWorker, Role::Up]).addresses().public;
        let public = public.expect("whoever receives has an address for it");
        (format!("{public}/scim/v2/{source}"), self.site.names().scim_token())
    }

    /// A client of the sync-worker of this number.
    pub fn scim_at(&self, number: usize, source: &str) -> Scim {
        self.scim_of(self.member(Role::SyncWorker, number), source, &self.site.names().scim_token())
    }

    fn scim_of(&self, worker: &Member, source: &str, token: &str) -> Scim {
        let public = worker.addresses().public.expect("whoever receives has an address for it");
        Scim::new(&format!("{public}/scim/v2/{source}"), token)
    }

    /// The same client at all sync-workers: at whichever answers.
    pub fn gateway(&self, source: &str) -> Gateway {
        let workers = self.members.iter().filter(|member| matches!(member.role(), Role::SyncWorker | Role::Up));
        Gateway::new(workers.map(Member::signpost).collect(), source, &self.site.names().scim_token())
    }

    /// The admin API, with the token of the first start.
    pub fn admin(&self) -> Admin {
        self.admin_as(Some(self.admin_token()))
    }

    pub fn admin_with(&self, token: &str) -> Admin {
        self.admin_as(Some(token.to_owned()))
    }

    pub fn admin_without_token(&self) -> Admin {
        self.admin_as(None)
    }

    fn admin_as(&self, token: Option<String>) -> Admin {
        let address = self.console().addresses().admin.expect("whoever serves the admin API has an address for it");
        Admin::new(&address, token)
    }

    pub fn admin_token(&self) -> String {
        let path = self.console().data().join("admin.token");
        std::fs::read_to_string(path).expect("the first start writes admin.token").trim().to_owned()
    }

    /// The probes, which need no token; of the first process.
    pub fn probes(&self) -> Admin {
        self.members[0].probes()
    }

    /// The sum of a metric over all processes that run, see [`Admin::metric`].
    pub async fn metric(&self, name: &str, label: &str) -> f64 {
        let mut sum = 0.0;
        for member in self.members.iter().filter(|member| member.runs()) {
            sum += member.probes().metric(name, label).await;
        }
        sum
    }

    /// The sessions of one downstream; those of `web` are also the express application's.
    pub async fn store(&self, downstream: &str) -> Store {
        self.store_at(downstream, &redis_url()).await
    }

    /// The same where they are in another Redis than the shared one.
    pub async fn store_at(&self, downstream: &str, url: &str) -> Store {
        Store::open(self.site.names(), downstream, url).await
    }

    /// A real express application on the sessions of `web`.
    pub async fn express(&self) -> Express {
        Express::start(&self.site, "web", false).await
    }

    /// One on the sessions of `downstream` that writes them at the end of every request.
    pub async fn express_that_resaves(&self, downstream: &str) -> Express {
        Express::start(&self.site, downstream, true).await
    }
}
