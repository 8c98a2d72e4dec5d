-- Who was in a snapshot is kept by the worker that reads it: a million rows were written for each look at a large source, and
-- a run whose worker dies begins anew in any case.
DROP TABLE scratch.seen;
