import os
import subprocess
import sys

import pytest

from acclimate import cpu

PAGES = """
import ctypes, resource, sys
from acclimate import cpu
if sys.argv[1] == "kept":
    assert cpu.keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
for _ in range(5):
    block = libc.malloc(2**26)
    ctypes.memset(block, 1, 2**26)
    libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def faults(how):
    """Pages that the system gave a process that fills and frees 64 MB five times."""
    done = subprocess.run([sys.executable, "-c", PAGES, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_memory_is_used_again():
    assert faults("kept") < faults("returned") / 2


def test_threads_wait_asleep_unless_the_user_decides(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    for name in cpu.WAIT_POLICIES:
        monkeypatch.delenv(name, raising=False)
    cpu.let_threads_sleep()
    assert os.environ.pop("OMP_WAIT_POLICY") == "PASSIVE"
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    cpu.let_threads_sleep()
    assert "OMP_WAIT_POLICY" not in os.environ


def test_importing_acclimate_comes_first_enough():
    code = "import acclimate, os; print(os.environ['OMP_WAIT_POLICY'])"
    clean = {k: v for k, v in os.environ.items() if k not in cpu.WAIT_POLICIES}
    assert subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True).stdout == "PASSIVE\n"
