"""What FFmpeg, ultralytics, trtexec and their like call an option or a command that is called otherwise here.

An unknown name is an error in any case; with this table the error says the name that exists.
"""

from collections.abc import Collection, Mapping, Sequence

_OURS: Mapping[str, str] = {
    # FFmpeg
    "--start": "-ss --seek",
    "--duration": "-t -to --to",
    "--codec": "-c -c:v -codec -codec:v -vcodec --vcodec --encoder",
    "--crf": "-crf --quality",
    "--preset": "-preset",
    "--bitrate": "-b -b:v",
    "--pix-fmt": "-pix_fmt",
    "--hwaccel": "-hwaccel",
    "--max-frames": "-vframes -frames -frames:v --frames --vframes --num-frames",
    "--loop": "-stream_loop",
    "--overwrite": "-y --yes --force --exist-ok",
    "--quiet": "-loglevel --log-level --silent",
    "--output": "--save --save-dir --project --out --out-dir --output-dir --dst --saveEngine --export",
    # ultralytics
    "--input": "--source --src --file --video --image --images",
    "--model": "-m -w --weights --net --network --engine --loadEngine",
    "--ckpt": "--weights --checkpoint --pretrained --model --pth",
    "--init": "--weights --checkpoint --pretrained",
    "--out": "--output --save-dir --project --out-dir --output-dir",
    "--camera": "--webcam --cam",
    "--fp16": "--half --float16",
    "--size": "-s --imgsz --img-size --img --shape --shapes --input-shape --minShapes --optShapes "
    "--maxShapes --resolution",
    "--batch": "-b --batch-size --maxBatch",
    "--every": "--vid-stride --stride --vid_stride",
    "--show": "--view --display",
    "--no-window": "--nosave --no-save --benchmark --headless --no-display --no-show",
    "--serve": "--port --http --web",
    "--device": "--gpu --cuda",
    "--backend": "--provider --runtime --engine",
    "--limit": "--max-frames --max-images",
    "--data": "--dataset --data-dir",
    "--lr": "--lr0 --learning-rate",
    "--cosine": "--cos-lr --cos_lr",
    "--workers": "-j --jobs --threads --num-workers",
    # trtexec
    "MODEL": "--onnx --model --loadEngine --input -i",
    "MODEL.onnx": "--onnx --model --input -i",
    "FILE": "--onnx --model --input -i",
    "--workspace": "--memPoolSize",
    "--dla": "--useDLACore",
    "--optimisation-level": "--builderOptimizationLevel",
    "--timing-cache": "--timingCacheFile",
    "--calibration": "--calib --table",
    "--table": "--calib --calibration",
    "--int8": "--best",
    "--fp32": "--noTF32",
    "--compute-capability": "--hardwareCompatibilityLevel --arch --sm",
    "--frames": "--iterations --runs --repeat",
    "--warm-up": "--warmUp --warmup",
    # batch tools
    "--include": "--filter --pattern --glob",
    "--segment": "--chunk --chunk-size",
    "--tries": "--retries",
    "--on-failure": "--on-error",
}

_COMMANDS: Mapping[str, str] = {
    "onnx": "convert export torch2onnx",
    "trt": "tensorrt engine build compile trtexec",
    "quantize": "int8 ptq",
    "bench": "benchmark profile speed time",
    "inspect": "info show describe print",
    "parity": "verify check compare validate val test diff",
    "field-report": "report",
    "triton": "serve repository",
}


def our_option(theirs: str, known: Collection[str]) -> str | None:
    """The first of ``known`` that ``theirs`` is another name of; ``None`` if there is none.

    >>> our_option("--half", ["--fp16"]), our_option("--half", ["--codec"])
    ('--fp16', None)

    Args:
        theirs: an option as it was typed, without its value.
        known: the options of the command as ``--fp16``, and its arguments as ``MODEL``.
    """
    return next((ours for ours, names in _OURS.items() if ours in known and theirs in names.split()), None)


def our_command(theirs: str) -> str | None:
    """The command that ``theirs`` is another name of; ``None`` if there is none."""
    return next((ours for ours, names in _COMMANDS.items() if theirs.lower() in names.split()), None)


def as_typed(option: str, words: Sequence[str]) -> str:
    """The whole word that click read as letters: ``-ss`` for ``-s``; else the option itself.

    Args:
        option: what click found unknown.
        words: the command line.
    """
    if len(option) != 2:
        return option
    known = {name for names in _OURS.values() for name in names.split()}
    found = (word.partition("=")[0] for word in words if not word.startswith("--"))
    return next((word for word in found if word in known and option[1] in word[1:]), option)
