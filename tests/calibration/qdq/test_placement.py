"""Placement of Q/DQ pairs, on graphs small enough to check by hand."""

from calibration.qdq.placement import Op, place


def dense_block() -> list[Op]:
    """A dense block: two convolutions that read all earlier outputs, and the fusion."""
    return [
        Op("head", "Conv", ("picture", "w0"), ("h",)),
        Op("head_relu", "Relu", ("h",), ("x",)),
        Op("conv1", "Conv", ("x", "w1"), ("c1",)),
        Op("relu1", "Relu", ("c1",), ("r1",)),
        Op("cat1", "Concat", ("x", "r1"), ("t1",)),
        Op("conv2", "Conv", ("t1", "w2"), ("c2",)),
        Op("relu2", "Relu", ("c2",), ("r2",)),
        Op("cat2", "Concat", ("t1", "r2"), ("t2",)),
        Op("fusion", "Conv", ("t2", "w3"), ("f",)),
        Op("add", "Add", ("x", "f"), ("y",)),
        Op("pool", "MaxPool", ("y",), ("p",)),
        Op("equal", "Equal", ("y", "p"), ("won",)),
        Op("next", "Conv", ("p", "w4"), ("n",)),
    ]


def test_a_dense_block_shares_one_scale_that_of_its_last_concatenation() -> None:
    found = place(dense_block(), {"conv1", "conv2", "fusion"})
    assert found.scales == {"x": "t2", "r1": "t2", "t1": "t2", "r2": "t2", "t2": "t2"}
    assert found.concatenations == {"cat1", "cat2"}


def test_a_kept_fusion_leaves_the_last_concatenation_and_its_last_part_alone() -> None:
    found = place(dense_block(), {"conv1", "conv2"})
    assert found.scales == {"x": "t1", "r1": "t1", "t1": "t1"}
    assert found.concatenations == {"cat1"}


def test_comparisons_read_unquantised_values() -> None:
    """Quantising every convolution leaves the tensors that pooling and comparisons read."""
    ops = dense_block()
    found = place(ops, {op.name for op in ops if op.kind == "Conv"})
    assert "y" not in found.scales  # read by the pooling and the comparison
    assert {"f", "won", "c1"}.isdisjoint(found.scales)
    assert found.scales["p"] == "p"  # of the next convolution's own input, on its edge only


def test_nothing_is_placed_where_nothing_is_quantised() -> None:
    found = place(dense_block(), set())
    assert not found.scales and not found.concatenations and not found.convolutions
