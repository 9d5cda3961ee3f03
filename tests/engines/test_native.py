"""Native code says the same, to the last digit, whether this process compiled it or found it kept."""

import os
import subprocess
import sys

DIGITS = """
import hashlib, numpy as np
from engines.linear.hermitian import hermitian_inverse
parts = np.random.default_rng(1).standard_normal((2, 3, 90, 120)).astype(np.float32)
tall = parts[0] + 1j * parts[1]
print(hashlib.sha256(hermitian_inverse(tall @ tall.conj().swapaxes(1, 2)).tobytes()).hexdigest())
"""


def test_an_inverse_has_the_same_digits_compiled_here_or_kept(tmp_path):
    run = [sys.executable, "-c", DIGITS]
    with_cache = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"}
    compiled, kept = (
        subprocess.run(run, env=with_cache, capture_output=True, text=True, check=True).stdout for _ in range(2)
    )
    assert list(tmp_path.rglob("*.nbc"))
    assert compiled == kept
