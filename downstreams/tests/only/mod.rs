//! What a single adapter has to bear beyond the table.

mod authjs;
mod credentials;
mod django;
mod following;
mod generic;
mod index;
mod keycloak;
mod laravel;
mod recheck;
mod redis;
mod servers;
mod spelled;
mod spring;
mod spring_jdbc;
mod sql;
mod tls;
mod webhook;
