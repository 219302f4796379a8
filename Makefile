# Every target sets up what it needs: a virtual environment of its own, with pinned versions.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CHECKPOINT := runtime/models/lite.safetensors

.PHONY: demo test test-gpu soak lint models weights keep-weights package-weights setup clean

setup: $(READY)

# torch goes first: what depends on it then takes the build that is there.
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

# Two processes, each with one thread; what is in one file stays in one process, in its order.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# What only a GPU can tell; without one each test is skipped and says why. Warnings of CUDA's packages are told
# and no errors: nobody has seen them before.
test-gpu: $(READY)
	$(BIN)/python -m pytest tests/gpu -rs -W default

# Reconnects and frames by the hundred thousand, and what they leave behind; takes 20 minutes.
soak: $(READY)
	$(BIN)/python -m tests.soak

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Trains the packaged networks by the recipes in granet/training/recipes: `make weights DATA=DIR`, and PRESET=lite for
# lite, whose teacher is base. Interrupt it at any time; the same command resumes runs/PRESET. On another machine it
# continues from the weights in the repository: CONTINUE is the unfinished training, else the packaged weights.
# FRESH=1 starts from nothing.
DATA ?= ../shared/data
PRESET ?= base
RUN := runs/$(PRESET)
PACKAGED := runtime/models/$(PRESET).safetensors
CONTINUE := $(firstword $(wildcard $(RUN)/continue.safetensors $(PACKAGED)))
weights: $(READY)
	$(BIN)/granet-train --recipe $(PRESET) --data $(DATA) --out $(RUN) \
	  $(if $(wildcard $(RUN)/state.pt),--resume,$(if $(FRESH),,$(if $(CONTINUE),--continue $(CONTINUE))))

# Keeps how far `make weights` has come for another machine; commit the file.
keep-weights: $(READY)
	$(BIN)/python -m granet.training.convert $(RUN)/last.pt $(RUN)/continue.safetensors --overwrite

# Packages the weights that `make weights` has reached.
package-weights: $(READY)
	$(BIN)/python -m granet.training.convert $(RUN)/best.pt $(PACKAGED) --overwrite

# What is made from the weights that come along; run it whenever they change, then quantise anew (lite.md).
models: $(READY)
	$(BIN)/granet-export onnx --ckpt $(CHECKPOINT) -o runtime/models/lite.onnx --dynamic --overwrite

clean:
	rm -rf $(VENV) demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
