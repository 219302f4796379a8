# Every target sets up what it needs: a virtual environment of its own, with pinned versions.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CHECKPOINT := runtime/models/lite.safetensors

.PHONY: demo test test-gpu soak faults lint models weights keep-weights package-weights setup clean

setup: $(READY)

# torch is installed first, so that its dependents use this build.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[cpu,export,train,serve,dev]'
	touch $@

# From a checkpoint to a video without rain, each step checked. Leaves its files in demo/.
demo: $(READY)
	mkdir -p demo
	$(BIN)/python -m runtime.demo_clip demo/rain.mp4 --overwrite
	$(BIN)/granet-export onnx --ckpt $(CHECKPOINT) -o demo/lite.onnx --size 480x320 --overwrite
	$(BIN)/granet-export parity --ckpt $(CHECKPOINT) demo/lite.onnx
	$(BIN)/granet-run --input demo/rain.mp4 --model demo/lite.onnx --output demo/side-by-side.mp4 --compare --overwrite
	@echo "Look at demo/side-by-side.mp4: rain on the left, GraNet's result on the right."

# Four processes on two cores, each with one thread, because many tests wait for something. The tests of a file run in
# one process, in their order.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 4 --dist loadfile

# Tests that need a GPU; without one each is skipped with the reason. Warnings of CUDA's packages are shown and are
# not errors, because nobody has seen them before.
test-gpu: $(READY)
	$(BIN)/python -m pytest tests/gpu -rs -W default

# Checks for leaks over hundreds of thousands of frames and reconnections; takes 20 minutes.
soak: $(READY)
	$(BIN)/python -m tests.soak

# Breaks files and runs at random, with a new seed, and prints the table of docs/reliability.md with the trials passed.
faults: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Trains the packaged networks by the recipes in granet/training/recipes: `make weights DATA=DIR`, and PRESET=lite for
# lite. Interrupt it at any time; the same command resumes runs/PRESET. On another machine it continues the unfinished
# training in the repository (CONTINUE), or starts from the weights of an earlier training (START). FRESH=1 starts from
# nothing.
DATA ?=
PRESET ?= base
RUN := runs/$(PRESET)
PACKAGED := runtime/models/$(PRESET).safetensors
CONTINUE := $(wildcard $(RUN)/continue.safetensors)
START := $(wildcard $(RUN)/start.safetensors)
KEPT := $(if $(CONTINUE),--continue $(CONTINUE),$(if $(START),--init $(START)))
weights: $(if $(DATA),$(READY))
	@test -n '$(DATA)' || { echo 'give the directory of the data sets (docs/training.md lists them):' \
	  'make weights PRESET=$(PRESET) DATA=DIR' >&2; exit 2; }
	$(BIN)/granet-train --recipe $(PRESET) --data $(DATA) --out $(RUN) \
	  $(if $(wildcard $(RUN)/state.pt),--resume,$(if $(FRESH),,$(KEPT)))

# Saves the progress of `make weights` for another machine; commit the file.
keep-weights: $(READY)
	$(BIN)/python -m granet.training.convert $(RUN)/last.pt $(RUN)/continue.safetensors --overwrite

# Packages the weights that `make weights` has reached.
package-weights: $(READY)
	$(BIN)/python -m granet.training.convert $(RUN)/last.pt $(PACKAGED) --overwrite

# Exports the packaged weights. Run it whenever they change, then quantise again (PRESET.md).
models: $(READY)
	$(BIN)/granet-export onnx --ckpt $(PACKAGED) -o $(PACKAGED:.safetensors=.onnx) --dynamic --overwrite

clean:
	rm -rf $(VENV) demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
