"""What the engine inspector says of layers, in the forms that versions of TensorRT give it."""

import pytest

from export.tensorrt.layers import parse_layers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"Layers": [{"Name": "conv1", "Outputs": [{"Name": "a", "Format/Datatype": "Half"}]}, '
            '{"Name": "cast", "Outputs": [{"Format/Datatype": "Float"}, {"Format/Datatype": "Int8"}]}]}',
            {"conv1": "Half", "cast": "Float, Int8"},
        ),
        ('{"Layers": ["conv1", "cast"]}', None),  # names only
        ("", None),
        ("[]", None),
    ],
)
def test_what_the_inspector_says_of_layers(text: str, expected: dict[str, str] | None) -> None:
    assert parse_layers(text) == expected
