# make run opens the app, make test checks it; each sets up what it needs in .venv the first time.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: run test gates bench faults coverage clean

run: $(VENV)/.ready
	$(PY) app.py

test: gates
	$(PY) -m pytest

gates: $(VENV)/.ready-dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy

coverage: $(VENV)/.ready-dev
	$(PY) -m pytest --cov=explorer --cov-report=term:skip-covered

bench: $(VENV)/.ready-dev
	$(PY) -m benchmarks

faults: $(VENV)/.ready-dev
	$(PY) -m benchmarks.faults

# A record that the environment fits its list; older than the list, the environment is brought up to date.
$(VENV)/.ready: requirements.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.ready-dev: requirements.txt requirements-dev.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@ $(VENV)/.ready

clean:
	rm -rf $(VENV) runs
