"""Finds the fewest layers to keep in higher precision so that the drop stays within a budget."""

from collections.abc import Callable, Sequence

Within = Callable[[frozenset[str]], bool]
"""Runs a model that keeps these layers; returns whether it is within the budget."""


def fewest_kept(order: Sequence[str], always: frozenset[str], within: Within) -> frozenset[str] | None:
    """Finds the shortest prefix of ``order`` that meets the budget if kept.

    The noise of layers nearly adds up, so keeping more of them never hurts, and bisection needs only
    log2(n) runs of a model. With an order by noise per multiplication the prefix has the least arithmetic,
    as in the knapsack problem.

    Args:
        order: layers, most worth keeping first.
        always: layers that are always kept.
        within: tests a set of kept layers.

    Returns:
        The layers to keep, including ``always``; ``None`` if even keeping all misses the budget.
    """
    layers = [name for name in order if name not in always]
    low, high = 0, len(layers)
    if not within(always | frozenset(layers)):
        return None
    while low < high:
        middle = (low + high) // 2
        if within(always | frozenset(layers[:middle])):
            high = middle
        else:
            low = middle + 1
    return always | frozenset(layers[:low])
