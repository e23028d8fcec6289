# Everything runs from a fresh machine with Python 3.11 or 3.12 and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
BIN := .venv/bin
# uv does not read pip's setting for a local wheel directory: hand it on when there is one.
export UV_FIND_LINKS := $(or $(UV_FIND_LINKS),$(PIP_FIND_LINKS))
ifeq ($(strip $(UV_FIND_LINKS)),)
unexport UV_FIND_LINKS
endif

.PHONY: setup demo test app lint bench clean

setup: .venv/ready

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 12) else "Python 3.11 or 3.12 is needed; set PYTHON=/path/to/it")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip install -q --python $(BIN)/python -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/python -m data_prep.actors.demo --out demo

test: setup
	$(BIN)/python -m pytest -m "not slow and not gpu"

app: setup
	$(BIN)/python app.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/pyright

bench: setup
	PYTHONPATH=. $(BIN)/python tests/bench/speed.py
	PYTHONPATH=. $(BIN)/python tests/bench/rendered.py --clips 4

clean:
	rm -rf .venv demo
