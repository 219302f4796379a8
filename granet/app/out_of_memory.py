"""Recognises that an error means too little memory, whichever library reports it."""

_PHRASES = (
    "bad_alloc",
    "bad allocation",
    "cannot allocate memory",
    "can't allocate memory",
    "failed to allocate",
    "failed to map segment",
    "insufficient memory",
    "not enough memory",
    "out of memory",
    "unable to allocate",
)
"""Parts of messages of the C library, the dynamic linker, C++, NumPy, OpenCV, PyTorch, OpenVINO and CUDA."""

_NO_THREAD = "can't start new thread"


def out_of_memory(error: BaseException) -> str | None:
    """The reason in words for the user, if ``error`` or one of its causes means that a limit is reached.

    Returns:
        A line without the word "error"; ``None`` for any other error.
    """
    at: BaseException | None = error
    while at is not None:
        text = str(at).lower()
        if isinstance(at, MemoryError) or any(phrase in text for phrase in _PHRASES):
            return "not enough memory: use smaller pictures or a smaller batch, or raise the memory limit"
        if _NO_THREAD in text:
            return (
                "no further thread can be started: raise the limit on memory or on processes (ulimit -v, -u)"
            )
        at = at.__cause__ or at.__context__
    return None
