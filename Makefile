# What you need is Python 3.11 or newer and make; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
export PYTHONUNBUFFERED := 1

STAMPS := pyproject.toml constraints.txt

.PHONY: run app test slow gpu lint bench mutants simulate image image-mocks locks release clean

run: .venv/serve  ## start the platform on the embedded model and paint a first picture
	@$(BIN)/bananastand demo

app: .venv/serve  ## app.py alone
	@$(BIN)/python app.py

test: .venv/dev lint  ## lint, types, and all tests not marked slow, gpu or live
	$(BIN)/python -m pytest -n 2 --dist loadfile

slow: .venv/dev  ## the tests marked slow
	$(BIN)/python -m pytest -m slow

gpu: .venv/dev  ## the tests marked gpu
	$(BIN)/python -m pytest -m gpu

lint: .venv/dev  ## ruff and pyright
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright

bench: .venv/dev  ## benchmarks on this machine, into benchmarks/results/
	set -e; for name in embedded byte_equality throughput mixed_load host_overhead mocks platform processors swarm history; do $(BIN)/python -m benchmarks.$$name; done

mutants: .venv/dev  ## faults put into mocks and clients, and which of them no test sees
	$(BIN)/python -m tools.mutation --out benchmarks/results/mutants.json

SEEDS ?= 1000
simulate: .venv/dev  ## the platform in virtual time, with SEEDS seeds; a failing one prints its trace
	$(BIN)/python -m tools.simulate --seeds $(SEEDS)

image:  ## Banana's build of the Dockerfile, with docker, podman or buildah
	@.ci/image

image-mocks:  ## the image of the mocks alone
	@FILE=mocks/Dockerfile TAG=bananastand-mocks:dev .ci/image

.venv/serve: $(STAMPS)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --constraint constraints.txt --editable '.[stand]'
	@touch $@

# LOCKED=1 takes only files whose hashes are in locks/, and torch's CPU build; CI does.
.venv/dev: $(STAMPS)
	$(PYTHON) -m venv .venv
ifdef LOCKED
	$(BIN)/pip install --require-hashes --requirement locks/dev.txt --requirement locks/torch-cpu.txt
	$(BIN)/pip install --no-deps --no-build-isolation --editable .
else
	$(BIN)/pip install --constraint constraints.txt --editable '.[dev]'
endif
	@touch .venv/serve $@

locks: .venv/dev  ## constraints.txt and locks/: every package by version and hash
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m tools.locks

release:  ## wheel, source, SBOM (CycloneDX) and their hashes, into dist/
	@PYTHON=$(PYTHON) .ci/release

clean:  ## remove what make made
	rm -rf .venv .venv-release out dist build .pytest_cache .ruff_cache
