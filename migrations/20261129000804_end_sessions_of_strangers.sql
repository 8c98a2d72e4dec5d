-- Somebody whom no source knows, by what one downstream calls them.

CREATE TABLE ledger.strangers (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    downstream text NOT NULL,
    value text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (downstream, value)
);
COMMENT ON TABLE ledger.strangers IS 'durable, erasable: what a downstream calls a subject whom no source knows, for passes and sweeps; nowhere else, and never in a topic. Erased after five minutes where somebody only looked';
COMMENT ON COLUMN ledger.strangers.id IS 'random: a hash of the value could be guessed';
COMMENT ON COLUMN ledger.strangers.asked_at IS 'when a person last named them';

GRANT SELECT, INSERT, UPDATE (asked_at) ON ledger.strangers TO leaver_console;
GRANT SELECT, DELETE ON ledger.strangers TO leaver_revoker;
