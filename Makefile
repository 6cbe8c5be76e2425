# Everything that people do with this project; `make` alone lists it.
# ARGS is handed on: `make run ARGS=--help`, `make test ARGS="-k order"`, `make lock ARGS=--upgrade`.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# The first of these that is new enough and can make a virtual environment; `make PYTHON=…` names another.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3.14 python3; do \
	$$python -c $(SUITABLE) 2>/dev/null && echo $$python && break; done)
SUITABLE := 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))'

VENV := .venv
DIST := dist
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-strip-extras --custom-compile-command "make lock" pyproject.toml

export PIP_ROOT_USER_ACTION := ignore

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

# Use

.PHONY: run
run: export SEGMENT_FULLSTORY_MAKE := make$(if $(filter $(CURDIR),$(PWD)),, -C "$(CURDIR)")
run: $(VENV)/installed-to-run ## the whole system on embedded defaults, in one terminal
	@$(BIN)/segment-fullstory demo $(ARGS)

.PHONY: sandbox
sandbox: $(VENV)/installed-to-run ## the FullStory emulator alone
	@$(BIN)/segment-fullstory sandbox $(ARGS)

.PHONY: kafka
kafka: $(VENV)/installed ## a real Kafka on loopback, to play with (Java 17 and Maven)
	@$(BIN)/python -m tests.kafka.cluster $(ARGS)

# Development

.PHONY: test
test: $(VENV)/installed ## every test; those on a real Kafka need Java 17 and Maven, or KAFKA_BOOTSTRAP_SERVERS
	@$(BIN)/python -m pytest --numprocesses 3 --dist loadgroup $(ARGS)

.PHONY: chaos
chaos: $(VENV)/installed ## every kind of fault once, on a real Kafka: three minutes, also part of make test (Java 17, Maven, Go)
	@$(BIN)/python -m tests.chaos --kills 6 $(ARGS)

.PHONY: chaos-long
chaos-long: $(VENV)/installed ## 200 kills among all other faults, then a rolling restart: forty minutes
	@$(BIN)/python -m tests.chaos --kills 200 --result docs/results/chaos.json $(ARGS)
	@$(BIN)/python -m tests.chaos --scenario rolling --result docs/results/rolling.json $(ARGS)

.PHONY: endure
endure: $(VENV)/installed ## an unread log, a port full of half requests and poison together: an hour, or MINUTES=5
	@$(BIN)/python -m tests.chaos.endure $(if $(MINUTES),--minutes $(MINUTES),--result docs/results/endure.json) $(ARGS)

.PHONY: soak
soak: $(VENV)/installed ## ordinary traffic for long, and whether anything of a worker grows: an hour, or MINUTES=5
	@$(BIN)/python -m bench.soak $(if $(MINUTES),--minutes $(MINUTES),--result docs/results/soak.json) $(ARGS)

.PHONY: drill
drill: $(VENV)/installed ## outages on the real stack, and what an operator is told of each: a quarter of an hour (Java 17, Maven, Prometheus, Alertmanager)
	@$(BIN)/python -m tests.operation.drill $(ARGS)

.PHONY: sim
sim: $(VENV)/installed ## the simulation: SEEDS=10000 for so many, SEED=42 for that one
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/installed ## damaged records through decoding and mapping: INPUTS=1000000 for so many, also part of make test
	@$(BIN)/python -m tests.fuzz $(if $(INPUTS),--inputs $(INPUTS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: avro
avro: $(VENV)/installed ## random schemas and values by Avro for Java, and whether the worker reads them so (Java 17, Maven)
	@$(BIN)/python -m tests.random_avro $(ARGS)

.PHONY: rules
rules: $(VENV)/installed ## the tests of the alerts on promtool 3 and vmalert-tool, too (Prometheus, Go)
	@$(BIN)/python -m tests.operation.rule_tools $(ARGS)

.PHONY: check
check: $(VENV)/installed ## format, lint, types, layers, spelling, metadata
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/validate-pyproject pyproject.toml

.PHONY: bare
bare: $(VENV)/installed ## make run and make test on a bare Debian 12 and 13, as a normal user (root, debootstrap, git)
	@.ci/bare $(ARGS)

.PHONY: bench
bench: $(VENV)/installed ## measure
	@$(BIN)/python -m bench $(ARGS)

.PHONY: native
native: $(VENV)/installed ## the hot path compiled to C, in build/native: PYTHONPATH=build/native .venv/bin/segment-fullstory (a C compiler)
	@rm -rf build/native
	@SEGMENT_FULLSTORY_NATIVE=1 $(BIN)/python -m hatchling build --target wheel --directory build/native >/dev/null
	@$(BIN)/python -m zipfile -e build/native/*.whl build/native
	@PYTHONPATH=build/native $(BIN)/segment-fullstory --version

.PHONY: test-native
test-native: native ## the tests of what runs per event, and all that builds on it without servers, on the compiled modules
	@$(BIN)/python -m pytest --numprocesses 3 --dist loadgroup --override-ini "pythonpath=build/native ." \
		tests/unit tests/properties tests/differential tests/fuzz tests/simulation $(ARGS)

.PHONY: docs
docs: $(VENV)/installed ## write the generated pages of docs/ and their pictures anew (Chromium)
	$(BIN)/python docs/generate.py $(ARGS)
	$(BIN)/python -m tests.operation.pages

.PHONY: dashboards
dashboards: $(VENV)/installed ## write Grafana's dashboards anew, from deploy/grafana/build.py
	@$(BIN)/python deploy/grafana/build.py

.PHONY: site
site: $(VENV)/installed ## the documentation as a site, in build/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet $(ARGS)
	@echo "python3 -m http.server --directory build/site"

.PHONY: audit
audit: $(VENV)/installed ## known vulnerabilities of what is installed to run; asks PyPI
	@$(PIP) --quiet install uv
	@$(BIN)/uv tool run pip-audit --strict --require-hashes --requirement requirements-run.lock $(ARGS)

.PHONY: sbom
sbom: $(VENV)/installed ## what is installed to run, as build/sbom.json (CycloneDX)
	@$(PIP) --quiet install uv
	@mkdir -p build
	@$(BIN)/uv tool run --from cyclonedx-bom cyclonedx-py requirements --output-reproducible --output-file build/sbom.json \
		requirements-run.lock

.PHONY: dist dist-packages dist-chart dist-image
dist: dist-packages dist-chart dist-image ## wheel, sdist, chart and image of a release, in dist (Go or helm; docker, podman or buildah)
	@ls -l $(DIST)

dist-packages: $(VENV)/installed
	@$(BIN)/hatchling build --directory $(DIST)

dist-chart: $(VENV)/installed
	@$(BIN)/python -m tests.operation.helm package deploy/helm/segment-fullstory --destination $(DIST)

# In Docker's format, which every tool can load, and which keeps the health check.
dist-image: $(VENV)/installed
	@mkdir -p $(DIST); image=segment-fullstory:$$($(BIN)/hatchling version); archive=$(DIST)/segment-fullstory-image.tar; \
	for tool in $(or $(BUILDER),docker podman buildah); do $$tool info >/dev/null 2>&1 && break; tool=; done; rm -f $$archive; \
	set -e -- $(if $(PYTHON_IMAGE),--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE)) --file deploy/Dockerfile --tag $$image .; \
	case $$tool in \
	docker) docker build "$$@"; docker save --output $$archive $$image;; \
	podman) podman build --format docker "$$@"; podman save --output $$archive $$image;; \
	buildah) buildah build --format docker "$$@"; buildah push $$image docker-archive:$$archive:$$image;; \
	*) echo "The image takes docker (with its daemon), podman or buildah, and none answers here." >&2; exit 1;; \
	esac

.PHONY: lock
lock: $(VENV)/installed ## lock what pyproject.toml asks for; ARGS=--upgrade takes newer versions
	$(PIP) --quiet install uv
	$(COMPILE) --group dev --output-file requirements.lock $(ARGS)
	$(COMPILE) --group build --constraint requirements.lock --output-file requirements-run.lock $(ARGS)
	$(COMPILE) --group build --group native --constraint requirements.lock --output-file requirements-native.lock $(ARGS)

.PHONY: clean
clean: ## delete what these targets made, downloads included
	rm -rf $(VENV) .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist htmlcov
	rm -f .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Installation: into .venv, from the locks, again when a lock or pyproject.toml changed. Running takes half of what
# developing takes, in time and space, so it has a lock of its own: a part of the other one, version by version.

$(VENV)/installed-to-run: requirements-run.lock pyproject.toml | $(BIN)/python
	$(call install,requirements-run.lock)

$(VENV)/installed: requirements.lock pyproject.toml | $(BIN)/python
	$(call install,requirements.lock)
	@touch $(VENV)/installed-to-run

# pip resolves nothing (--no-deps): a lock names every package that its packages ask for, so neither what the index
# publishes later nor how a release of pip reads extras changes what is installed; `pip check` confirms the result.
# Only what is imported is compiled, when it is. The stamp tells whether all of it worked: a pipe tells of its end only.
define install
	@rm -f $@; total=$$(grep -c '^[^ #]*==' $(1)); began=$$(date +%s); \
	echo "Installing $$total packages from $(1) into $(VENV)" >&2; \
	{ PYTHONUNBUFFERED=1 $(PIP) install --no-deps --no-compile --progress-bar off --require-hashes --requirement $(1) && \
		$(PIP) --quiet install --no-deps --no-build-isolation --editable . && $(consistent) && touch $@; } | $(progress); \
	test -e $@ && echo "Installed in $$(($$(date +%s) - began)) s" >&2
endef

define consistent
{ $(PIP) check >&2 || { echo "Delete $(VENV) and try again: packages of an earlier installation are in the way." >&2; false; }; }
endef

# What pip says of each package becomes one line, rewritten in place; where nobody watches, nothing.
define progress
{ seen=0; while read -r word name rest; do case $$word in \
	Collecting|Requirement|Ignoring) test "$$name" != already || name=$${rest#satisfied: }; \
		seen=$$((seen + 1)); said="$$seen of $$total: $${name%%[=:]*}";; \
	Installing) said=unpacking;; \
	*) continue;; \
	esac; test ! -t 2 || printf '  %-48.48s\r' "$$said" >&2; done; }
endef

$(BIN)/python:
	@python="$(PYTHON)"; \
	test -n "$$python" && "$$python" -c $(SUITABLE) 2>/dev/null || { \
		echo "Python 3.11 or newer with its venv module is needed, and $${python:-none on the PATH} will not do." >&2; \
		echo "Install one (on Debian: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3" >&2; \
		exit 1; }; \
	echo "Creating $(VENV) with $$("$$python" --version)" >&2; \
	"$$python" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
