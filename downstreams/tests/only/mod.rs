//! What a single adapter has to bear beyond the table.

mod authjs;
mod django;
mod generic;
mod keycloak;
mod laravel;
mod redis;
mod servers;
mod spring;
mod spring_jdbc;
mod sql;
mod tls;
