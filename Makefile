# One command for each thing one does here; CI runs `make test` and nothing else.

# The committed .sqlx/ describes every query, so that no build needs a database.
export SQLX_OFFLINE ?= true

.PHONY: help up demo test check fmt keycloak services stop sqlx metrics bench torture fuzz

help: ## what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## build Leaver and start it with examples/leaver.yaml
	cargo build --locked -p leaver
	@echo 'Once it says "ready", in another terminal: cd examples && ../target/debug/leaver source list' >&2
	@echo 'The README goes on from there. Ctrl-C stops it.' >&2
	cargo run --locked --quiet -p leaver -- up -c examples/leaver.yaml

demo: ## build Leaver and watch a small company lose people
	cargo run --locked -p leaver -- demo

test: ## all that CI checks, installing and starting what it needs
	@scripts/test

check: ## the quick part: format and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

fmt: ## format the code
	cargo fmt --all

keycloak: ## start a Keycloak for tests and for docs/guides/keycloak.md
	@scripts/keycloak start
	@echo '. target/keycloak.env'

services: ## start Redis, PostgreSQL and Kafka for tests; prints what to source
	@scripts/needs packages
	@scripts/services start
	@echo '. target/services.env'

stop: ## stop what `make services` and `make keycloak` started
	@scripts/services stop
	@scripts/keycloak stop

sqlx: ## write .sqlx/ anew, after a change of a query or a migration
	@scripts/needs packages
	@scripts/services with scripts/sqlx refresh

metrics: ## write the table of docs/reference/metrics.md anew, after a change of a metric
	@scripts/needs packages
	cargo build --locked -p leaver
	@LEAVER_WRITE_REFERENCE=1 scripts/services with \
		cargo test --locked --quiet -p tests --test it the_reference_of_metrics_is_what_each_role_exports

bench: ## measure the release build, on this machine
	@scripts/needs packages
	@scripts/needs jackson
	cargo build --locked --release -p leaver
	@scripts/services with env LEAVER_KEYCLOAK_STORE=postgres scripts/keycloak with \
		cargo bench --locked -p tests --bench latency

torture: ## the races and crashes among the stories, ROUNDS=20 times each
	@scripts/needs packages
	@scripts/needs express
	@scripts/needs frameworks
	cargo build --locked -p leaver
	@LEAVER_ROUNDS=$${ROUNDS:-20} scripts/services with scripts/keycloak with \
		cargo test --locked -p tests --test it -- --test-threads=1 over_and_over the_trace_of_a_request

# Each target of scim/fuzz runs for so long.
FUZZ_SECONDS ?= 600

fuzz: ## try the SCIM engine with inputs that nobody thought of, for FUZZ_SECONDS each
	@scripts/needs fuzz
	@scripts/fuzz $(FUZZ_SECONDS)
