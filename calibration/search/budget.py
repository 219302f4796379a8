"""The fewest layers to keep in more bits so that the drop stays within a budget."""

from collections.abc import Callable, Sequence

Within = Callable[[frozenset[str]], bool]
"""Whether a model that keeps these layers is within the budget; runs it."""


def fewest_kept(order: Sequence[str], always: frozenset[str], within: Within) -> frozenset[str] | None:
    """The shortest start of ``order`` that, kept, meets the budget.

    Noises of layers nearly add up, so keeping more of them never costs: bisection finds it in
    log2(n) runs of a model. The order by noise a multiplication makes the start the set of least
    arithmetic, as for a knapsack.

    Args:
        order: layers, those first that are to be kept first.
        always: layers that are kept in any case.
        within: the test.

    Returns:
        The layers to keep, those of ``always`` among them; ``None`` if not even keeping all helps.
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
