//! The roles as processes of their own, joined by PostgreSQL and Kafka only, through outages of each part.

mod apart;
mod broker_outage;
mod downstream_outage;
mod growing;
mod leases;
mod lost_message;
mod personal_data;
mod postgres_outage;
mod reference;
mod refused;
mod relay_killed;
mod revoker_killed;
mod rolling;
mod secrets;
mod stage;
mod subscriber;
mod traces;
