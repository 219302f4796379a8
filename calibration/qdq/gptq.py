"""Rounds weights so that the errors of one output channel cancel each other.

Rounding each weight to the nearest step is best only if the inputs have nothing to do with each other.
Neighbouring pixels are almost alike, so the errors of their weights should sum to 0. GPTQ (Frantar et al.,
ICLR 2023) rounds one weight after another, and changes those that are still to come so that they make up for
its error on the inputs that were observed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DAMPING = 0.01
"""Added to the diagonal of the moments, as a share of its mean (section 3.3 of the paper)."""


def gptq(steps: Array, moments: Array, rounded: Callable[[Array], Array]) -> Array:
    """Rounds the weights of a convolution.

    Args:
        steps: weights in steps of their output channel, float O x I, for O outputs of I inputs each.
        moments: second moments of the inputs, float I x I (:func:`calibration.qdq.moments.input_moments`).
        rounded: rounds values to the numbers of the format, and clips them.

    Returns:
        float64 O x I, values of the format. On inputs with these moments the layer's results are, as a
        rule, closer to those of ``steps`` than with the nearest values.
    """
    diagonal = np.diagonal(moments)
    # The largest inputs first: the others can make up for their errors.
    order = np.argsort(diagonal, kind="stable")[::-1]
    damping = max(DAMPING * float(diagonal.mean()), float(np.finfo(np.float32).tiny))
    damped = (moments + damping * np.eye(len(moments)))[np.ix_(order, order)]
    factor = np.linalg.cholesky(np.linalg.inv(damped)).T  # upper triangular, as in the paper
    left = steps[:, order].astype(np.float64)
    result = np.empty_like(left)
    for i in range(left.shape[1]):
        result[:, i] = rounded(left[:, i]).astype(np.float64)
        left[:, i + 1 :] -= np.outer((left[:, i] - result[:, i]) / factor[i, i], factor[i, i + 1 :])
    found = np.empty_like(result)
    found[:, order] = result
    return found
