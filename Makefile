# make run opens the app, make test checks it; both set up .venv the first time.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: run test bench faults types clean

run: $(VENV)/.ready
	$(PY) app.py

test: $(VENV)/.ready
	$(PY) -m ruff check .
	$(PY) -m pytest

bench: $(VENV)/.ready
	$(PY) -m benchmarks

faults: $(VENV)/.ready
	$(PY) -m benchmarks.faults

types: $(VENV)/.ready
	$(PY) -m mypy

# A record that the environment fits requirements.txt; older than it, the environment is brought up to date.
$(VENV)/.ready: requirements.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

clean:
	rm -rf $(VENV) runs
