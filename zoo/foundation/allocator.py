"""Memory that a program frees is kept for its next one, where the C library is glibc."""

import ctypes
import os
import platform

# Numbers of <malloc.h>, and what each is set to.
SETTINGS = {
    -8: 1,  # M_ARENA_MAX: one heap for all threads; only that of the main thread grows at will
    -4: 0,  # M_MMAP_MAX: large blocks come from the heap too, not from a mapping for each
    -1: -1,  # M_TRIM_THRESHOLD: the end of the heap stays when it is free
    -2: 2**26,  # M_TOP_PAD: the heap grows by 64 MiB more than is asked for
}


def keep_freed_memory() -> bool:
    """Lets the process keep the memory that it frees, for its next allocation.

    XLA allocates the temporary memory of a program whenever it runs, and frees it afterwards. By
    default glibc gives blocks of that size back to the system at once, and the next run waits for
    the same pages to be handed out and zeroed again: a quarter to a half of a train step on a CPU.
    The process then holds the most that it ever used until it ends, and blocks of many sizes may
    leave gaps in the heap.

    `python -m train` calls it, before the backend of jax starts its threads; other commands and an
    import of the zoo do not. Where the environment sets `GLIBC_TUNABLES` or a variable
    `MALLOC_...`, that counts.

    Returns:
      Whether it is so: False with another C library, and where the environment counts.

    Example:
      >>> import os, zoo
      >>> os.environ["MALLOC_ARENA_MAX"] = "2"
      >>> zoo.keep_freed_memory()
      False
      >>> del os.environ["MALLOC_ARENA_MAX"]
    """
    chosen = any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
    if chosen or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    taken = [mallopt(number, value) for number, value in SETTINGS.items()]
    return all(taken)
