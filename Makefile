# Needs make, python3 (3.10 or later, with venv) and g++ (11 or later). Everything else goes to .venv.
.PHONY: demo test bench lint wheel sanitize clean
.SUFFIXES:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
# One CUDA architecture is enough for a check of the build; wheels for others take the default list.
export DYNSAMPLE_CUDA_ARCHS ?= 90-real

NATIVE := $(shell find csrc cmake -type f) CMakeLists.txt setup.py pyproject.toml
PACKAGES := dynsample tests bench examples setup.py

demo: $(VENV)/.built
	$(BIN)/dynsample demo digits --plot demo-digits.png

test: $(VENV)/.test-ready lint sanitize
	$(BIN)/python -m pytest

bench: $(VENV)/.test-ready
	$(BIN)/dynsample bench all

lint: $(VENV)/.test-ready
	$(BIN)/ruff format --check $(PACKAGES)
	$(BIN)/ruff check $(PACKAGES)
	$(BIN)/mypy
	find csrc \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' \) -print0 | \
	  xargs -0 $(BIN)/clang-format --dry-run -Werror

# The tests of the kernels once more, with the address and undefined-behaviour sanitizers.
sanitize: $(VENV)/.test-ready
	$(BIN)/python tests/sanitize.py

wheel: $(VENV)/.tools
	$(BIN)/python -m pip wheel --no-build-isolation --no-deps -w dist .

clean:
	rm -rf $(VENV) build dist dynsample/*.so *.egg-info

$(VENV)/.tools: requirements/build.txt requirements/demo.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the packages of requirements/demo.txt into $(VENV)"
	$(PIP) install -r requirements/build.txt -r requirements/demo.txt
	touch $@

$(VENV)/.built: $(VENV)/.tools $(NATIVE)
	@echo "building the extension"
	DYNSAMPLE_WERROR=ON $(PIP) install --no-build-isolation --no-deps -e .
	touch $@

$(VENV)/.test-ready: $(VENV)/.built requirements/test.txt
	@echo "installing the packages of requirements/test.txt into $(VENV)"
	$(PIP) install -r requirements/test.txt
	touch $@
