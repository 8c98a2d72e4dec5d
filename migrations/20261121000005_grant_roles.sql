-- The role matrix. What is not granted here is refused by Postgres, whatever the code does.

GRANT USAGE ON SCHEMA directory, ledger, working TO leaver_sync, leaver_revoker, leaver_relay, leaver_console;
GRANT USAGE ON SCHEMA scratch TO leaver_sync;
GRANT USAGE ON SCHEMA secrets TO leaver_sync, leaver_console;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA directory TO leaver_sync;
REVOKE UPDATE, DELETE ON directory.plan_items FROM leaver_sync;
GRANT INSERT ON ledger.events, ledger.event_context, ledger.pending TO leaver_sync;
GRANT SELECT (id, event_id) ON ledger.events TO leaver_sync;
GRANT SELECT, INSERT, UPDATE ON ledger.parked TO leaver_sync;
GRANT SELECT, UPDATE (state, result, done_at) ON ledger.requests TO leaver_sync;
GRANT SELECT, INSERT, UPDATE, DELETE ON working.leases, working.checkpoints, working.runs, working.source_status, scratch.seen
    TO leaver_sync;
GRANT SELECT ON secrets.tokens TO leaver_sync;

GRANT SELECT ON ALL TABLES IN SCHEMA directory TO leaver_revoker;
GRANT SELECT ON ledger.events, ledger.event_context TO leaver_revoker;
GRANT SELECT, INSERT, UPDATE ON ledger.pending_cutoffs TO leaver_revoker;
GRANT SELECT, INSERT, UPDATE ON ledger.decisions, ledger.cutoff_subjects, ledger.cutoffs, ledger.revocations, ledger.receipts
    TO leaver_revoker;
GRANT SELECT, UPDATE (state, result, done_at) ON ledger.requests TO leaver_revoker;
GRANT SELECT, INSERT, UPDATE, DELETE ON working.deliveries, working.ended, working.leases TO leaver_revoker;

GRANT SELECT ON ledger.events, ledger.cutoff_subjects, ledger.cutoffs TO leaver_relay;
GRANT SELECT, DELETE ON ledger.pending, ledger.pending_cutoffs TO leaver_relay;
GRANT SELECT, INSERT, UPDATE, DELETE ON working.leases TO leaver_relay;

GRANT SELECT ON ALL TABLES IN SCHEMA directory, ledger, working TO leaver_console;
GRANT INSERT ON ledger.requests TO leaver_console;
GRANT SELECT, INSERT, UPDATE (revoked_at) ON secrets.tokens TO leaver_console;
