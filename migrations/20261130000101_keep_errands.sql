-- What is no cutoff: what a decision orders of a downstream once, such as to be told, or to revoke credentials.

CREATE TABLE ledger.errands (
    decision uuid NOT NULL,
    action text NOT NULL CHECK (action IN ('notify', 'revoke_credentials')),
    downstream text NOT NULL,
    revocation uuid NOT NULL REFERENCES ledger.revocations,
    subject_id uuid NOT NULL,
    class smallint NOT NULL CHECK (class IN (0, 1, 2)),
    state text NOT NULL DEFAULT 'owed' CHECK (state IN ('owed', 'applied', 'verified', 'handed_over', 'stuck')),
    found integer NOT NULL DEFAULT 0,
    ended integer NOT NULL DEFAULT 0,
    applied_at timestamptz,
    verified_at timestamptz,
    handed_over_at timestamptz,
    note text,
    due_at timestamptz DEFAULT clock_timestamp(),
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    stuck_since timestamptz,
    lease uuid,
    lease_holder text,
    leased_until timestamptz,
    PRIMARY KEY (decision, action, downstream),
    CHECK ((due_at IS NULL) = (state IN ('verified', 'handed_over'))),
    CHECK ((stuck_since IS NOT NULL) = (state = 'stuck'))
);
CREATE INDEX errands_due ON ledger.errands (downstream, class, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX errands_by_revocation ON ledger.errands (revocation);
CREATE INDEX errands_leased ON ledger.errands (lease_holder) WHERE lease IS NOT NULL;
COMMENT ON TABLE ledger.errands IS 'durable: what a downstream owes once for a decision, never joined with another; done, the row is its receipt';
COMMENT ON COLUMN ledger.errands.decision IS 'id of the event that was decided, or of the request: a downstream that is told twice knows it by that';
COMMENT ON COLUMN ledger.errands.due_at IS 'when it is tried next; null: it is done';

-- What each downstream has answered to a revocation so far: of sessions and what refreshes them, and of each errand.
CREATE VIEW ledger.answers AS
SELECT v.id AS revocation, n.downstream, NULL::text AS action, coalesce(r.state, 'owed') AS state,
       coalesce(r.found, 0) AS found, coalesce(r.ended, 0) AS ended, coalesce(r.resurrected, 0) AS resurrected,
       coalesce(r.collateral, 0) AS collateral, r.applied_at, r.verified_at, r.settled_at,
       NULL::timestamptz AS handed_over_at, r.stuck_at, r.note
FROM ledger.revocations v CROSS JOIN LATERAL UNNEST(v.downstreams) AS n(downstream)
LEFT JOIN ledger.receipts r ON r.revocation = v.id AND r.downstream = n.downstream
UNION ALL
SELECT revocation, downstream, action, state, found, ended, 0, 0, applied_at, verified_at, NULL, handed_over_at, stuck_since,
       coalesce(note, CASE WHEN state = 'stuck' THEN last_error END)
FROM ledger.errands;
COMMENT ON VIEW ledger.answers IS 'durable: receipts and errands, read as one';

GRANT SELECT, INSERT, UPDATE ON ledger.errands TO leaver_revoker;
GRANT SELECT ON ledger.errands, ledger.answers TO leaver_console;
