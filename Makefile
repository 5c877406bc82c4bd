# `make demo` and `make test` install what is missing (scripts/setup.sh), work as root or with sudo, and may be repeated.
.POSIX:
# Where rustup puts cargo, if the shell does not know it.
export PATH := $(PATH):$(HOME)/.cargo/bin
.PHONY: help demo test check soak bench prepare clean setup api-tester

help:
	@echo 'make demo      build the release binary and run the hub with its sandboxes and demo data'
	@echo 'make test      run all tests beside a throw-away PostgreSQL   (ARGS: for the test runner)'
	@echo 'make check     formatting and lints, without a database'
	@echo 'make soak      the same scenarios as make test at their full size; takes hours'
	@echo 'make bench     measure; docs/benchmarks.md says what'
	@echo 'make prepare   write .sqlx, after any change of a query or a migration'
	@echo 'make clean     remove everything that was built and the demo data'

demo: setup
	cargo build --release --locked
	target/release/kopru demo $(ARGS)

test: setup api-tester
	scripts/with-test-cluster.sh scripts/run-tests.sh $(ARGS)

check:
	cargo fmt --all --check
	SQLX_OFFLINE=true cargo clippy --workspace --all-targets -- -D warnings

soak: setup api-tester
	KOPRU_SOAK=1 scripts/with-test-cluster.sh scripts/run-tests.sh --release $(ARGS)

bench: setup
	cargo bench --bench mapping
	cargo bench --bench files -- --items 1000000
	cargo bench --bench pull -- --memory-items 1000000 --rest-items 2000 $(ARGS)
	cargo bench --bench push
	cargo bench --bench letters
	cargo bench --bench catalogue -- --browse-seconds 30
	cargo bench --bench orders
	cargo bench --bench orders_to_logo
	cargo bench --bench deliveries

prepare: setup
	cargo sqlx --version >/dev/null 2>&1 || \
		cargo install sqlx-cli --version '^0.9' --locked --no-default-features --features postgres,rustls
	scripts/with-test-cluster.sh cargo sqlx prepare --workspace -- --all-targets

clean:
	scripts/clean.sh

setup:
	@scripts/setup.sh

api-tester:
	@scripts/api-tester.sh
