"""Memory that is freed stays with the process."""

import platform
import subprocess
import sys

import pytest

# Two blocks, so that the second is asked for when the first has been freed; pages touched count as faults.
PROGRAM = """
import ctypes, resource
from kcnn.allocator import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
if {keep}:
    keep_freed_memory()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(1 << 26)
    ctypes.memset(block, 1, 1 << 26)
    libc.free(ctypes.c_void_p(block))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
"""


def faults(keep, **environment):
    command = [sys.executable, "-c", PROGRAM.format(keep=keep)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_freed_memory_is_used_again_without_the_kernel():
    assert faults(keep=False) > 10 * faults(keep=True)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_who_has_tuned_the_library_keeps_his_settings():
    assert faults(keep=True, MALLOC_TOP_PAD_="0") > 10 * faults(keep=True)
