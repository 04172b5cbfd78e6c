# Needs make, python3 (3.10 or later, with venv) and g++ (11 or later). Everything else goes to .venv,
# but for the libraries that FFCV is compiled against, and Open MPI.
.PHONY: demo study setup instrumented test test-all test-dali110 pythons bench claims docs lint wheel wheel-check gpu-bundle sanitize races races-whole clean
.SUFFIXES:

PYTHON ?= python3
VENV := .venv
VENV110 := .venv-dali110
VENV_DOCS := .venv-docs
BIN := $(VENV)/bin
# One at a time, as set-up does other work beside it. What is never imported needs no bytecode; what
# is imported a hundred times, by ranks and workers, is compiled once, also where the environment says
# to write none.
unexport PYTHONDONTWRITEBYTECODE
PIP := flock $(VENV) $(BIN)/python -m pip --disable-pip-version-check -qq
INSTALL := $(PIP) install --no-compile
# One CUDA architecture is enough for a check of the build, as no code depends on it: that of the GPU
# here, or the oldest. Wheels take those of cmake/cuda.cmake.
TESTED_ARCHS := $(or $(DYNSAMPLE_CUDA_ARCHS),$(if $(wildcard /dev/nvidia0),native,75-real))

# What FFCV is compiled against; only root can install it.
FFCV_APT := libopencv-dev libturbojpeg0-dev pkg-config
FIND_FFCV_APT := pkg-config --exists opencv4 libturbojpeg 2> /dev/null

# A second MPI beside the MPICH of requirements/mpi.txt, under names of its own; only root can
# install it.
OPENMPI_APT := openmpi-bin
FIND_OPENMPI := command -v mpiexec.openmpi > /dev/null

# What the page of `dynsample inspect` is looked at with; only root can install it.
BROWSER_APT := chromium
FIND_BROWSER := { command -v chromium || command -v chromium-browser || command -v google-chrome; \
  } > /dev/null

# Fashion-MNIST, for the study; only root can install it.
FASHION_APT := dataset-fashion-mnist
FIND_FASHION := test -e /usr/share/datasets/fashion-mnist

# $(call apt,FIND,PACKAGES): install packages where what they bring is not found and root asks;
# without a word, as whoever called looks again.
apt = $(1) || test "$$(id -u)" != 0 || \
  flock $(VENV) sh -c "apt-get -qq update && \
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $(2)" \
  > /dev/null 2>&1 || true

NATIVE := $(shell find csrc cmake -type f) CMakeLists.txt setup.py pyproject.toml
PACKAGES := dynsample tests bench examples setup.py

CORES := $(shell nproc 2> /dev/null || echo 1)

# The package, and what it is used with.
BUILT := $(VENV)/.demo $(VENV)/.built

# LOADER=torch, dali or ffcv: from JPEG files, through that loader.
ifdef LOADER
demo: $(BUILT) $(if $(filter-out torch,$(LOADER)),$(VENV)/.$(LOADER))
	$(BIN)/dynsample demo glyphs --loader $(LOADER) --seeds 1
else
demo: $(BUILT)
	$(BIN)/dynsample demo glyphs --plot demo-glyphs.png
endif

# STUDY: further arguments, as --seeds 5. It goes on where it was when it was ended.
study: $(BUILT)
	@$(call apt,$(FIND_FASHION),$(FASHION_APT))
	$(BIN)/dynsample study --jobs $(CORES) $(STUDY)

# What the tests need, but for those of test-dali110.
READY := $(addprefix $(VENV)/.,test-ready ffcv dali mpi browser)
# Tests go to one process more than there are cores, as some wait for others. Those marked "whole"
# repeat what others show, with more sizes, seeds or pairs: test-all has them too, and more examples of
# every property.
PYTEST := $(BIN)/python -m pytest -n $(shell expr $(CORES) + 1) --maxprocesses 4

# What is fetched goes beside what is compiled.
setup: $(VENV)/.tools
	$(MAKE) --no-print-directory --jobs 2 --output-sync=line instrumented $(READY) \
	  $(VENV)/.built

# ninja cannot use make's pool of jobs.
instrumented: $(VENV)/.compiled
	env -u MAKEFLAGS $(BIN)/python tests/sanitize.py --build
	env -u MAKEFLAGS $(BIN)/python tests/races.py --build

# Lint has one process, and goes beside the others.
test: setup
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint sanitize races
	HYPOTHESIS_PROFILE=brief $(PYTEST) -m "not whole"

test-all: setup
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint sanitize races-whole
	$(PYTEST)

# The tests of the DALI loader with the last DALI for CUDA 11, which needs numpy 1. That DALI asks
# for versions with a class of distutils, which is deprecated.
test-dali110: $(BUILT) $(VENV110)/.ready
	PYTHONPATH=$(CURDIR) $(VENV110)/bin/python -m pytest \
	  tests/loaders tests/core/test_files.py tests/core/test_pack.py \
	  -k "dali or files or pack" -W "ignore:distutils Version:DeprecationWarning"

# The tests of core and policies, as far as they need no torch, with each of these that is there: what
# is installed is a wheel, in an environment in build/pythons, away from the sources.
PYTHONS := 3.10 3.11 3.12 3.13 3.14
OF_PYTHONS := pytest pytest-timeout pytest-xdist hypothesis safetensors pillow

pythons:
	@set -e; for version in $(PYTHONS); do \
	  python=python$$version; folder=build/pythons/$$version; \
	  $$python -c "" 2> /dev/null || { echo "$$python is not here"; continue; }; \
	  echo "$$python"; $$python -m venv $$folder; \
	  DYNSAMPLE_CUDA=OFF $$folder/bin/python -m pip --disable-pip-version-check -qq install \
	    --force-reinstall $(OF_PYTHONS) .; \
	  (cd $$folder; bin/pytest -n $(CORES) -q -m "not whole" $(CURDIR)/tests/core \
	    $(CURDIR)/tests/policies); \
	done

bench: $(VENV)/.built $(VENV)/.test-ready $(VENV)/.ffcv $(VENV)/.dali
	$(BIN)/dynsample bench all

# Every claim of speed, measured again; writes the tables of README and docs/performance.md.
claims: $(VENV)/.built $(READY)
	$(BIN)/python bench/claims.py

# The site, with warnings as errors, in build/docs; what mkdocs 2 will be is no warning of ours.
docs: $(VENV_DOCS)/.ready
	NO_MKDOCS_2_WARNING=1 $(VENV_DOCS)/bin/mkdocs build
	@echo "open build/docs/index.html"

lint: $(VENV)/.test-ready
	$(BIN)/ruff format --check $(PACKAGES)
	$(BIN)/ruff check $(PACKAGES)
	$(BIN)/mypy
	find csrc \( -name '*.h' -o -name '*.cpp' -o -name '*.cc' -o -name '*.cu' \) -print0 | \
	  xargs -0 $(BIN)/clang-format --dry-run -Werror

# The tests of the kernels once more, with the address and undefined-behaviour sanitizers.
sanitize: $(VENV)/.built $(VENV)/.test-ready
	env -u MAKEFLAGS $(BIN)/python tests/sanitize.py

# Those of the kernels for a GPU, with a thread of ThreadSanitizer for each of theirs.
races: $(VENV)/.built $(VENV)/.test-ready
	env -u MAKEFLAGS $(BIN)/python tests/races.py

races-whole: $(VENV)/.built $(VENV)/.test-ready
	env -u MAKEFLAGS $(BIN)/python tests/races.py --whole

wheel: $(VENV)/.tools
	$(BIN)/python -m pip --disable-pip-version-check wheel -q --no-build-isolation --no-deps -w dist .
	@du -h dist/*.whl

# What would be released: an sdist, a wheel made from it and repaired for the oldest glibc that this
# machine allows, installed into an empty environment, and used there.
wheel-check: $(VENV)/.wheel-ready
	rm -rf build/wheels
	DYNSAMPLE_CUDA=OFF $(BIN)/python -m build --outdir build/wheels/made . > build/wheels.log 2>&1 \
	  || { tail -n 40 build/wheels.log; exit 1; }
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m auditwheel repair -w build/wheels \
	  build/wheels/made/*.whl
	mv build/wheels/made/*.tar.gz build/wheels
	$(BIN)/python -m twine check --strict build/wheels/*.whl build/wheels/*.tar.gz
	$(PYTHON) -m venv build/wheels/empty
	build/wheels/empty/bin/python -m pip --disable-pip-version-check -qq install build/wheels/*.whl
	cd build/wheels && empty/bin/python -I ../../tests/install/smoke.py
	@build/wheels/empty/bin/python -c "from importlib.metadata import metadata; \
	  found = metadata('dynsample'); \
	  print(*(f'{name}: {found[name]}' for name in ('Name', 'Version', 'License-Expression')), sep='\n')"
	@du -h build/wheels/*.whl build/wheels/*.tar.gz

# The native modules for a machine with a GPU, to be carried there: GPU_PYTHON is another Python
# than 3.12 to build for.
gpu-bundle: $(VENV)/.tools
	PATH="$(CURDIR)/$(BIN):$$PATH" bash bench/gpu_bundle.sh make

clean:
	rm -rf $(VENV) $(VENV110) $(VENV_DOCS) build dist dynsample/*.so *.egg-info

$(VENV)/.tools: requirements/build.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -r requirements/build.txt
	touch $@

$(VENV)/.demo: $(VENV)/.tools requirements/demo.txt
	@echo "installing the packages of requirements/demo.txt into $(VENV)"
	$(INSTALL) -r requirements/demo.txt
	touch $@

# pip would keep others from installing meanwhile; it finds everything compiled. Neither may use make's
# pool of jobs, as ninja cannot.
BUILD := env -u MAKEFLAGS DYNSAMPLE_WERROR=ON DYNSAMPLE_CUDA_ON_HOST=ON \
  DYNSAMPLE_CUDA_ARCHS="$(TESTED_ARCHS)"

$(VENV)/.compiled: $(VENV)/.tools $(NATIVE)
	@echo "building the extension"
	@mkdir -p build
	$(BUILD) $(BIN)/python setup.py build_ext --inplace > build/compile.log 2>&1 \
	  || { tail -n 40 build/compile.log; exit 1; }
	touch $@

$(VENV)/.built: $(VENV)/.compiled
	$(BUILD) $(PIP) install --no-build-isolation --no-deps -e .
	touch $@

$(VENV)/.test-ready: $(VENV)/.demo requirements/test.txt
	@echo "installing the packages of requirements/test.txt into $(VENV)"
	$(INSTALL) -r requirements/test.txt
	touch $@

$(VENV)/.dali: $(VENV)/.demo requirements/dali.txt
	@echo "installing the packages of requirements/dali.txt into $(VENV)"
	$(INSTALL) -r requirements/dali.txt
	touch $@

# Without Open MPI its tests are skipped; the stamp is of MPICH and mpi4py.
$(VENV)/.mpi: $(VENV)/.demo requirements/mpi.txt
	@$(call apt,$(FIND_OPENMPI),$(OPENMPI_APT))
	@$(FIND_OPENMPI) || \
	  echo "Open MPI is left out and its tests are skipped; it needs: apt-get install $(OPENMPI_APT)"
	@echo "installing the packages of requirements/mpi.txt into $(VENV)"
	$(INSTALL) -r requirements/mpi.txt
	touch $@

# Without a browser its tests are skipped, and another look is taken the next time.
$(VENV)/.browser: | $(VENV)/.tools
	@$(call apt,$(FIND_BROWSER),$(BROWSER_APT))
	@if $(FIND_BROWSER); then touch $@; else \
	  echo "the report's page is not opened in a browser; that needs: apt-get install $(BROWSER_APT)"; \
	fi

$(VENV110)/.ready: requirements/dali110.txt
	test -x $(VENV110)/bin/python || $(PYTHON) -m venv $(VENV110)
	@echo "installing the packages of requirements/dali110.txt into $(VENV110)"
	$(VENV110)/bin/python -m pip --disable-pip-version-check -qq install -r requirements/dali110.txt
	touch $@

$(VENV)/.wheel-ready: $(VENV)/.tools requirements/wheel.txt
	@echo "installing the packages of requirements/wheel.txt into $(VENV)"
	$(INSTALL) -r requirements/wheel.txt
	touch $@

$(VENV_DOCS)/.ready: requirements/docs.txt
	test -x $(VENV_DOCS)/bin/python || $(PYTHON) -m venv $(VENV_DOCS)
	@echo "installing the packages of requirements/docs.txt into $(VENV_DOCS)"
	$(VENV_DOCS)/bin/python -m pip --disable-pip-version-check -qq install -r requirements/docs.txt
	touch $@

# Without the libraries there is no FFCV, no stamp, and another look the next time.
$(VENV)/.ffcv: $(VENV)/.demo requirements/ffcv.txt
	@$(call apt,$(FIND_FFCV_APT),$(FFCV_APT))
	@if $(FIND_FFCV_APT); then \
	  echo "installing the packages of requirements/ffcv.txt into $(VENV)"; \
	  $(INSTALL) --no-deps -r requirements/ffcv.txt && touch $@; \
	else \
	  echo "FFCV is left out and its tests are skipped; it needs: apt-get install $(FFCV_APT)"; \
	fi
