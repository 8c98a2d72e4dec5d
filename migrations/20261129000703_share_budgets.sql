-- A vendor's quota is one for all workers, whoever of them asks.

CREATE TABLE working.budgets (
    name text PRIMARY KEY,
    reserved_until timestamptz NOT NULL
);
COMMENT ON TABLE working.budgets IS 'operational: up to when the requests that a vendor allows are reserved; each worker reserves a span of its own after that';
GRANT SELECT, INSERT, UPDATE ON working.budgets TO leaver_sync;
GRANT SELECT ON working.budgets TO leaver_console;
