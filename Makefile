# What one does here. `make` alone lists it.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test lint bench clean-data

CARGO_DENY := 0.20.2

# Cargo's output folder, where its binaries are.
BUILT := $(or $(CARGO_TARGET_DIR),target)

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## Install what building and testing need: packages by apt, the test servers into target/servers
	tests/servers/setup.sh all

demo: ## Resize, meter, bill and archive photographs on this machine: make demo [PHOTOS=folder]
	tests/servers/setup.sh build
	cargo build --locked --workspace --bins
	$(BUILT)/debug/demo $(if $(PHOTOS),--photos "$(PHOTOS)")

test: setup ## Run every test, against an Apache Kafka and an S3 server started for them
	target/servers/venv/bin/python -m check_jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	cargo build --locked --workspace --all-targets
	$(BUILT)/debug/with-servers -- cargo test --locked --workspace

lint: ## Check format, clippy, licenses and sources of dependencies
	tests/servers/setup.sh build
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo install --quiet --locked --root target/tools cargo-deny@$(CARGO_DENY)
	target/tools/bin/cargo-deny --locked check licenses bans sources

bench: setup ## Measure throughput, release build; rows go to target/bench
	cargo build --locked --release --bins -p ingest -p resize-consumer -p system-tests
	$(BUILT)/release/with-servers -- $(BUILT)/release/bench-worker

clean-data: ## Remove what the demo and local runs left in ./data
	rm -rf data
