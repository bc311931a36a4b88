# Two commands for users: `make run` and `make test`. The rest is for those who change phalanx.
.SILENT:
.PHONY: run build prepare-run prepare-dev native bpf console check test test-long bench screenshots wheel image clean
PYTHON := .venv/bin/python
ARGS ?=

run: prepare-run build ## install what is missing, build, start; prints the address and a one-time login link
	exec .venv/bin/phalanx up $(ARGS)

prepare-run:
	scripts/prepare.sh run

prepare-dev:
	scripts/prepare.sh dev

build: native bpf console

native: ## the Cython extensions, in place, and the command .venv/bin/phalanx
	$(PYTHON) scripts/build_native.py

bpf: ## the CO-RE object
	$(PYTHON) scripts/build_bpf.py

console: ## the vendored front-end assets
	$(PYTHON) scripts/build_console.py

check: ## format, lint, types, import contracts, unit tests
	$(PYTHON) scripts/check.py

test: prepare-dev build ## everything, real parts included
	$(PYTHON) scripts/test.py

test-long: prepare-dev build ## long fuzzing, soak, many kills
	$(PYTHON) scripts/test.py --long

bench: prepare-dev build ## the numbers that the README quotes, each beside a baseline of the same run
	$(PYTHON) scripts/bench.py

screenshots: prepare-dev build ## every page, 1440 and 400 pixels, light and dark, both languages
	$(PYTHON) scripts/screenshots.py

wheel: prepare-dev build ## a wheel with the prebuilt BPF object, extensions and assets
	$(PYTHON) -m build --wheel --no-isolation --outdir dist .

image: wheel ## the container image for hub and agent
	sh deploy/image.sh

clean:
	rm -rf build dist src/*.egg-info
	find src -name '*.so' -delete -o -name '*.bpf.o' -delete
