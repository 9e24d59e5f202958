# The study's commands. `make` alone lists them.
#
# Nothing needs to be installed or activated beforehand but Python 3.11 or newer: `make reproduce` and `make test` create .venv.
# Settings, given as NAME=value behind the command:
#   PROFILE      quick (default): embedded images, CPU, minutes.  medium: about 20 crops, for a class.
#                full: the reported results (data set: see the README)
#   TORCH_INDEX  where torch comes from. Empty: what pip finds on PyPI (on Linux a CUDA build, several GB).
#                CPU only:   TORCH_INDEX=https://download.pytorch.org/whl/cpu
#                CUDA 12.6:  TORCH_INDEX=https://download.pytorch.org/whl/cu126
#                It counts when .venv is made; to change it later, delete .venv first.
#   PYTHON       the Python that .venv is made with (default python3)
#   LAB          more options for JupyterLab, such as LAB=--no-browser
#   CORES        how many cores the experiments may use (default: all); each uses one, so as many run side by side
#   GPUS         how many GPUs there are (default: counted); an experiment takes one
#   NBGRADER     not empty: `make course` writes copies for nbgrader, too
#   EXPERIMENT   the experiment that `make keep` is for
#   SPLITS       splits of the data set that `make gpu-pack` takes along (default: train val)

PROFILE     ?= quick
TORCH_INDEX ?=
PYTHON      ?= python3
CORES       ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
GPUS        ?= $(shell { nvidia-smi -L 2>/dev/null || true; } | grep -c GPU || true)
SPLITS      ?= train val

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help reproduce test lab book slides alt browser sealed course install-model prepare gpu-pack gpu-unpack keep restore archive clean says

VENV := .venv
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip --disable-pip-version-check --quiet
# One stamp per content of the three files that say what to install: touching them installs nothing.
INSTALLED := $(VENV)/.installed-$(shell cat settings.ini constraints.txt setup.py | cksum | cut -d' ' -f1)

# What the reading itself writes, and what only reports: no change of the code. CINN_COMMIT tells the records so.
NOT_CODE := . ':!figures' ':!data/results' ':!README.md' ':!data/unsealed.csv' ':!data/sealed_crops.csv'

help: ## list the targets
	@echo "make TARGET [PROFILE=quick|medium|full] [TORCH_INDEX=url] [PYTHON=python3] [CORES=n]"; echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1@\2/p' Makefile | while IFS=@ read -r target what; do printf '%-20s %s\n' "$$target" "$$what"; done

reproduce: says $(INSTALLED) ## install into .venv if needed, run the study, write its tables and figures
	@echo "Running the study, profile $(PROFILE), on $(CORES) cores."
	@for stage in $(if $(filter full,$(PROFILE)),known_runs known_runs) all; do \
	$(BIN)/python -m snakemake --cores $(CORES) --resources gpu=$(if $(filter 0,$(GPUS)),$(CORES),$(GPUS)) --rerun-triggers mtime params input --rerun-incomplete --quiet host reason --config profile=$(PROFILE) -- $$stage; done
	@echo "Done. Executed notebooks and tables: runs/$(PROFILE)/. Figures: figures/$(if $(filter full,$(PROFILE)),,$(PROFILE)/)."

test: $(INSTALLED) ## install into .venv if needed; check that cinn_nb/ is in step with nbs/; run all notebooks and tests
	@echo "1/4 export: is cinn_nb/ in step with nbs/?"
	@set -e; before=$$(cat cinn_nb/*.py | cksum); $(BIN)/nbdev_export; after=$$(cat cinn_nb/*.py | cksum); \
	if [ "$$before" != "$$after" ]; then \
	  echo "make test: cinn_nb/ was not in step with nbs/. It has been exported anew and left so: look at 'git diff cinn_nb', commit it, run again." >&2; exit 1; fi
	@set -e; tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; unset CINN_DATA; \
	export TMPDIR="$$tmp" IPYTHONDIR="$$tmp/ipython" CINN_STORE="$$tmp/store" OMP_NUM_THREADS=1 PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONDONTWRITEBYTECODE=1; \
	echo "2/4 rules of the code: ruff over notebooks and tests"; \
	ruff check --quiet . ; ruff format --check --quiet . ; \
	echo "3/4 notebooks: every one runs from top to bottom, two at a time"; \
	nbdev_test --n_workers 2 --do_print --timing; \
	echo "4/4 rules and commands, two processes side by side"; \
	python -m pytest tests -n 2 --dist worksteal -q -p no:cacheprovider --durations 12

lab: $(INSTALLED) ## open JupyterLab on nbs/; runs and figures can be opened there too
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter lab --notebook-dir=. --LabApp.default_url=/lab/tree/nbs \
	  --LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate $(LAB)

book: $(INSTALLED).book ## build the site of all notebooks into _docs/html; nothing is run; stops at a broken link or a missing text
	@$(BIN)/python book/make.py

slides: $(INSTALLED).book ## build a deck for each session of the course into _docs/slides/html
	@$(BIN)/python book/slides.py

alt: $(INSTALLED) ## write out the pictures that have no alternative text yet, with the lines to fill in
	@$(BIN)/python book/missing.py

browser: book ## look at the book in a headless Chromium: screenshots into _docs/shots, requests to other hosts (needs node and npm)
	@bash tests/browser/run.sh

sealed: $(INSTALLED) ## read the sealed split for every reported figure, once per release (CINN_DATA, PURPOSE="what for"; the code must be tagged)
	@test -n "$${PURPOSE:-}" || { echo 'make sealed: say what for, as in make sealed PURPOSE="release 0.2"; it is logged in data/unsealed.csv' >&2; exit 2; }
	@tag=$$(git describe --tags --abbrev=0 2>/dev/null) || { echo "make sealed: the code is not frozen; tag it first (git tag -a NAME)" >&2; exit 2; }; \
	git diff --quiet "$$tag" -- nbs cinn_nb data/models data/registry.csv data/channels.csv Snakefile settings.ini constraints.txt || { echo "make sealed: the code is not that of the tag $$tag; see git diff $$tag --stat" >&2; exit 2; }
	@changed=$$(git status --porcelain -- $(NOT_CODE)); test -z "$$changed" || { printf 'make sealed: no commit knows these; commit or remove them first:\n%s\n' "$$changed" >&2; exit 2; }
	@CINN_COMMIT=$$(git rev-parse HEAD) CINN_UNSEAL="$$PURPOSE" $(BIN)/cinn-run nbs/32_sealed.ipynb -p profile full

course: $(INSTALLED) ## course/student/ and course/solutions/ from the sessions in nbs/9*, both run: checks fail before, pass after
	@PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=$(or $(OMP_NUM_THREADS),2) $(BIN)/python -c "from cinn_nb.handout import main; main('$(if $(NBGRADER),--nbgrader)'.split())"

install-model: ## put the models that the full profile trained into the package
	if [ -e runs/full/20_train ]; then cp runs/full/20_train/{cinn,pointwise}*.{safetensors,json} cinn_nb/weights/; fi
	if [ -e runs/full/20b_channels ]; then cp runs/full/20b_channels/{cinn,pointwise,lattice}_channels.{safetensors,json} cinn_nb/weights/; fi
	if [ -e runs/full/26c_parts/lattice.safetensors ]; then cp runs/full/26c_parts/lattice.{safetensors,json} cinn_nb/weights/; fi

prepare: $(INSTALLED) ## before a commit: format, export cinn_nb/, clean the notebooks, write README.md
	@$(BIN)/ruff format --quiet .
	@$(BIN)/nbdev_export
	@$(BIN)/python -c "from cinn_nb.claims import refresh; refresh()"
	@$(BIN)/nbdev_clean
	@$(BIN)/cinn-run --readme

gpu-pack: $(INSTALLED) ## for a borrowed GPU machine without a network: put wheels, images of SPLITS="train val" (CINN_DATA), commit and RUNS="id..." into gpu/pack/
	@rm -rf gpu/pack; mkdir -p gpu/pack/wheels
	@$(PIP) download --no-deps --dest gpu/pack/wheels -c constraints.txt -r gpu/wheels.txt --only-binary :all: --python-version 3.12 \
	  --implementation cp --abi cp312 --abi abi3 --abi none --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 --platform any
	@$(BIN)/python -c "from cinn_nb.provenance import git_state as g; s = g(); print(s['commit'] + '+' * s['dirty'])" > gpu/pack/commit
	@$(BIN)/python -c "import os; from cinn_nb.elsewhere import pack_splits as p; os.environ.get('CINN_DATA') and p('$(SPLITS)'.split(), 'gpu/pack/images.zip')"
	@$(BIN)/python -c "from cinn_nb.elsewhere import pack_runs as p; ids = '$(RUNS)'.split(); ids and p('gpu/pack/runs.tar.gz', only=ids)"
	@echo "gpu/pack/ is $$(du -sh --apparent-size gpu/pack | cut -f1), the files under version control $$(git ls-files -z | xargs -0 cat | wc -c | numfmt --to=iec). On the machine: bash gpu/run.sh"

gpu-unpack: $(INSTALLED) ## take in what gpu/run.sh brought home (FROM=folder, default gpu/out)
	@for kind in results stopped; do ls $(or $(FROM),gpu/out)/$$kind.tar.gz.* > /dev/null 2>&1 || continue; \
	  cat $(or $(FROM),gpu/out)/$$kind.tar.gz.* > gpu/results.tar.gz; \
	  $(BIN)/python -c "from cinn_nb.elsewhere import take_in; [print(run, what) for run, what in take_in('gpu/results.tar.gz', also='.').items()]"; \
	  rm gpu/results.tar.gz; done

keep: $(INSTALLED) ## put the finished full runs of EXPERIMENT=name into data/runs/, to be committed before the whole is done
	@$(BIN)/python -c "from cinn_nb.elsewhere import keep_runs; [print(path) for path in keep_runs('$(EXPERIMENT)')]"

restore: $(INSTALLED) ## put the runs of data/runs/ into the store (CINN_STORE, default runs/store/)
	@$(BIN)/python -c "from cinn_nb.elsewhere import restore_runs; [print(*item) for item in restore_runs().items()]"

archive: $(INSTALLED) ## write what is reported (tables, kept runs, weights, figures) into dist/, one archive with its SHA-256
	@$(BIN)/python -c "from cinn_nb.elsewhere import pack_results; from cinn_nb import __version__ as v; print(pack_results(f'dist/cinn-results-{v}.tar.gz'), f'dist/cinn-results-{v}.tar.gz')"

clean: ## delete what the quick profile, tests and builds made (.venv and runs/full/ stay)
	rm -rf runs/quick figures/quick .snakemake build dist _docs _proc .pytest_cache .hypothesis
	find . -path ./$(VENV) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -exec rm -rf {} +

says:
	@echo "The study needs no network but PyPI (to install, about 2 GB once); the quick profile runs on embedded data, on a CPU."

# An older pip takes three times as long to choose the versions; compiling afterwards uses all cores, pip one.
$(INSTALLED):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "make: this needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo 'not there'). Name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@grep -qsF "$(CURDIR)/$(VENV)" $(BIN)/activate || { echo "Creating $(VENV)."; $(PYTHON) -m venv --clear $(VENV); }
	@echo "Installing into $(VENV) (a few minutes the first time): torch first, then the rest, at the tested versions."
	@$(PIP) install 'pip>=26'
	@$(PIP) install --no-compile -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@PYTHONWARNINGS=ignore $(PIP) install --no-compile -c constraints.txt -e '.[all]'
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib || true
	@rm -f $(VENV)/.installed-*; touch $@

$(INSTALLED).book: $(INSTALLED)
	@echo "Installing into $(VENV) what the book needs (under a minute)."
	@$(PIP) install -c constraints.txt -e '.[book]'
	@touch $@
