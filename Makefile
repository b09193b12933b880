# What one does here. `make` alone lists it.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test lint bench bench-landing bench-resize bench-billing fuzz clean-data

CARGO_DENY := 0.20.2
CARGO_FUZZ := 0.13.2
COMMA := ,

# Cargo's output folder, where its binaries are.
BUILT := $(or $(CARGO_TARGET_DIR),target)

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: ## Install what building and testing need: packages by apt, test servers and images into target
	tests/servers/setup.sh all
	tests/corpus/setup.sh

demo: ## Resize, meter, bill and archive photographs on this machine: make demo [PHOTOS=folder]
	tests/servers/setup.sh build
	cargo build --locked --workspace --bins
	$(BUILT)/debug/demo $(if $(PHOTOS),--photos "$(PHOTOS)")

test: setup ## Run every test, against an Apache Kafka and an S3 server started for them, and the demo
	target/servers/venv/bin/python -m check_jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	cargo build --locked --workspace --all-targets
	$(BUILT)/debug/with-servers -- cargo test --locked --workspace
	$(BUILT)/debug/demo --data target/demo

lint: ## Check format, clippy, licenses and sources of dependencies
	tests/servers/setup.sh build
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo install --quiet --locked --root target/tools cargo-deny@$(CARGO_DENY)
	target/tools/bin/cargo-deny --locked check licenses bans sources

bench: setup ## Measure throughput, release build; rows go to target/bench
	cargo build --locked --release --workspace --bin resize-consumer --bin bench-worker --bin bench-careful --bin with-servers
	$(BUILT)/release/with-servers -- $(BUILT)/release/bench-worker
	$(BUILT)/release/with-servers -- $(BUILT)/release/bench-careful

bench-landing: setup ## Measure how many usage events a CPU-second lands from a real Kafka: make bench-landing [ARGS='--runs 1']
	cargo build --locked --release --workspace --bin aggregator --bin bench-landing --bin with-servers
	$(BUILT)/release/with-servers -- $(BUILT)/release/bench-landing $(ARGS)

bench-resize: ## Compare the resize engine with sharp and Pillow: make bench-resize [ARGS='--set png']
	tests/servers/setup.sh peers
	cargo build --locked --release --workspace --bin bench-resize
	$(BUILT)/release/bench-resize $(ARGS)

bench-billing: ## Compare rolling up a month of usage with DuckDB, DataFusion and Polars: make bench-billing [ARGS='--runs 1']
	tests/servers/setup.sh billing-peers
	cargo build --locked --release --workspace --bin billing-jobs --bin bench-billing
	$(BUILT)/release/bench-billing $(ARGS)

# With clang, the codecs in C are watched and traced like the Rust code; without, they are only linked.
FUZZ_C := $(if $(shell command -v clang),CC=clang CXX=clang++ CFLAGS=-fsanitize=address$(COMMA)fuzzer-no-link)
FUZZ := resize-consumer/engine/fuzz
FUZZ_SECONDS := 30

fuzz: ## Fuzz the engine, with a nightly Rust, each target for 30 s: make fuzz [FUZZ_SECONDS=1800]
	tests/servers/setup.sh build
	cargo install --quiet --locked --root target/tools cargo-fuzz@$(CARGO_FUZZ)
	for target in header engine; do \
		mkdir -p target/fuzz/$$target && \
		$(FUZZ_C) PATH="$(CURDIR)/target/tools/bin:$$PATH" cargo +nightly fuzz run --fuzz-dir $(FUZZ) --target-dir target/fuzz/build $$target \
			target/fuzz/$$target $(FUZZ)/seeds $(FUZZ)/regressions -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=4096 || exit 1; \
	done

clean-data: ## Remove what the demo and local runs left in ./data
	rm -rf data
