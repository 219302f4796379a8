"""Names of files that are shown side by side."""

from pathlib import Path

import pytest

from granet.app.distinct_names import distinct_names


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/x.onnx", "b/y.onnx"], ["x.onnx", "y.onnx"]),
        (["/r/a/x.onnx", "/r/b/x.onnx"], ["a/x.onnx", "b/x.onnx"]),
        (["a/1/x.onnx", "b/1/x.onnx", "c/2/x.onnx"], ["a/1/x.onnx", "b/1/x.onnx", "2/x.onnx"]),
        (["x.onnx", "a/x.onnx"], ["x.onnx", "a/x.onnx"]),
        (["/x.onnx", "x.onnx"], ["/x.onnx", "x.onnx"]),
        (["x.onnx", "x.onnx"], ["x.onnx", "x.onnx"]),
    ],
)
def test_names_have_the_folders_that_they_need(paths: list[str], names: list[str]) -> None:
    assert distinct_names([Path(each) for each in paths]) == names
