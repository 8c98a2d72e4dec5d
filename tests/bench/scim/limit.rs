//! The least that a change costs: `pgbench` with a transaction that locks a row, changes it, and writes an event and a pending
//! row, as ours do, and nothing else.

use std::process::Command;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tests::world::Site;

use crate::histogram;

const TABLES: &str = "
    CREATE TABLE accounts (id int PRIMARY KEY, active boolean NOT NULL, body jsonb NOT NULL);
    CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account int NOT NULL, body text NOT NULL);
    CREATE TABLE pending (id bigint PRIMARY KEY);
    INSERT INTO accounts SELECT n, true, jsonb_build_object('userName', n, 'more', repeat('x', 400))
        FROM generate_series(1, 10000) n;
    ANALYZE accounts";

const TRANSACTION: &str = "\\set id random(1, 10000)
BEGIN;
SELECT body FROM accounts WHERE id = :id FOR UPDATE;
UPDATE accounts SET active = NOT active WHERE id = :id;
WITH written AS (INSERT INTO events (account, body) VALUES (:id, repeat('x', 500)) RETURNING id)
    INSERT INTO pending SELECT id FROM written;
COMMIT;
";

pub async fn measure(postgres: &str, site: &Site, at_once: &[usize], span: Duration) {
    println!("## The same PostgreSQL alone: pgbench, a transaction with a lock, an update and two inserts\n");
    println!("| at once | transactions/s | p50 ms | p99 ms |\n|---|---|---|---|");
    let mut server = PgConnection::connect(postgres).await.expect("PostgreSQL answers");
    sqlx::raw_sql(TABLES).execute(&mut server).await.expect("tables can be made");
    site.write("limit.sql", TRANSACTION);
    for clients in at_once {
        let mut command = Command::new("pgbench");
        let (clients, seconds) = (clients.to_string(), span.as_secs().to_string());
        let log = format!("limit-{clients}");
        command.current_dir(site.path("")).args(["-n", "-M", "prepared", "-f", "limit.sql", "-l", "--log-prefix"]);
        command.args([&log, "-c", &clients, "-T", &seconds, postgres]);
        let output = tokio::process::Command::from(command).output().await.expect("pgbench can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut times = histogram();
        for file in std::fs::read_dir(site.path("")).expect("the folder is ours").flatten() {
            if !file.file_name().to_string_lossy().starts_with(&format!("{log}.")) {
                continue;
            }
            let text = std::fs::read_to_string(file.path()).expect("the log is text");
            // client, number, microseconds, …
            let taken = text.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<u64>().ok());
            taken.for_each(|micros| times.saturating_record(micros));
        }
        let ms = |q: f64| format!("{:.1}", times.value_at_quantile(q) as f64 / 1e3);
        println!("| {clients} | {:.0} | {} | {} |", times.len() as f64 / span.as_secs_f64(), ms(0.5), ms(0.99));
    }
    println!();
}
