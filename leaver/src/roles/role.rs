//! The roles, and which of them a process hosts.

use crate::config::Config;

/// A part of Leaver that may have a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads sources, receives SCIM, applies changes.
    SyncWorker,
    /// Decides what an event obliges us to, and ends sessions.
    Revoker,
    /// The admin API.
    Console,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::SyncWorker => "sync-worker",
            Role::Revoker => "revoker",
            Role::Console => "console",
        }
    }
}

/// What one process hosts. Every process relays, too: leases say which of them does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosted {
    /// All roles.
    Up,
    Alone(Role),
}

impl Hosted {
    /// The verb that starts it, and the name of its file in `run`.
    pub fn name(self) -> &'static str {
        match self {
            Hosted::Up => "up",
            Hosted::Alone(role) => role.as_str(),
        }
    }

    pub fn roles(self) -> &'static [Role] {
        match self {
            Hosted::Up => &[Role::SyncWorker, Role::Revoker, Role::Console],
            Hosted::Alone(Role::SyncWorker) => &[Role::SyncWorker],
            Hosted::Alone(Role::Revoker) => &[Role::Revoker],
            Hosted::Alone(Role::Console) => &[Role::Console],
        }
    }

    pub fn hosts(self, role: Role) -> bool {
        self.roles().contains(&role)
    }

    /// The keys without which this process could not meet the others, each with what to write; empty if it may start.
    pub fn lacks(self, config: &Config) -> Vec<(&'static str, &'static str)> {
        if self == Hosted::Up {
            return Vec::new();
        }
        let mut lacks = Vec::new();
        if config.database.is_none() {
            lacks.push(("database.url", "database: { url: \"env:DATABASE_URL\" }"));
        }
        if config.bus.kafka.is_none() {
            lacks.push(("bus.kafka", "bus: { kafka: { brokers: \"HOST:9092\" } }"));
        }
        lacks
    }
}
