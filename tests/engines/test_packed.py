"""Half of an inverse says all of it: products equal those with the whole one, to what its numbers hold."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engines.linear.errors import LinearError
from engines.linear.packed import MOST_ROWS, empty_packed, multiply, multiply_columns, pack, pack_columns
from engines.unrolled.problem import apply_inverse


def lowered(numbers):
    """To the nearest bfloat16, ties away from zero."""
    return (numbers.view(np.uint32) + np.uint32(0x8000) & np.uint32(0xFFFF0000)).view(np.float32)


def inverses(groups, size, reaches, seed=0):
    """Hermitian matrices as problem.py lays them out (group, 2 * size, size), zero outside the rows of `reaches`."""
    random = np.random.default_rng(seed)
    made = np.zeros((groups, 2 * size, size), np.float32)
    for group, (first, end) in zip(made, reaches, strict=True):
        a = random.standard_normal((end - first, end - first, 2), np.float32) @ [1, 1j]
        both = a @ a.conj().T + np.eye(end - first)
        group[first:end, first:end] = both.real
        group[size + first : size + end, first:end] = both.imag
    return made


def some_reaches(groups, size, seed=1):
    ends = np.random.default_rng(seed).integers(0, size + 1, (groups, 2))
    reaches = np.sort(ends, axis=1)
    reaches[0], reaches[-1] = (0, size), (size // 2, size // 2)  # all of it, and nothing
    return reaches


def product(inverse, planes, parts=1):
    packed = empty_packed(len(inverse), inverse.shape[2])
    pack(inverse, packed)
    out = np.full_like(planes, np.nan)
    for part in np.array_split(np.arange(len(inverse)), parts):
        if len(part):
            multiply(packed, planes, out, slice(part[0], part[-1] + 1))
    return out


@pytest.mark.parametrize(
    ("rows", "width", "size"), [(70, 9, 70), (64, 6, 64), (33, 5, 33), (1, 3, 1), (24, 10, 4), (24, 10, 3), (16, 4, 2)]
)
def test_a_product_is_that_with_the_whole_inverse(rows, width, size):
    groups = rows // size * width
    inverse = inverses(groups, size, some_reaches(groups, size))
    planes = np.random.default_rng(2).standard_normal((3, 2, rows, width), np.float32)
    wanted = np.stack([apply_inverse(lowered(inverse), frame) for frame in planes])
    np.testing.assert_allclose(product(inverse, planes), wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())


@pytest.mark.parametrize(("first", "end"), [(0, 70), (3, 68), (20, 53), (69, 70)])
def test_a_product_of_columns_in_single_precision_is_that_with_the_whole_inverse(first, end):
    planes = inverses(6, 70, [(first, end)] * 6)
    whole = planes[:, :70] + 1j * planes[:, 70:]
    packed = empty_packed(6, 70, np.float32)
    for part in (slice(2, 6), slice(0, 2)):
        pack_columns(np.ascontiguousarray(whole[part, first:end, first:end]), first, packed, part)
    given = np.random.default_rng(5).standard_normal((6, 140), np.float32).view(np.complex64)
    out = np.full_like(given, np.nan)
    for part in (slice(0, 5), slice(5, 6)):
        multiply_columns(packed, given, out, part)
    wanted = (whole @ given[..., None])[..., 0]
    np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("parts", [2, 6, 100])
def test_parts_make_the_whole(parts):
    inverse = inverses(20, 40, some_reaches(20, 40))
    planes = np.random.default_rng(3).standard_normal((1, 2, 40, 20), np.float32)
    np.testing.assert_array_equal(product(inverse, planes, parts), product(inverse, planes))


def test_nothing_to_do_is_done_too():
    inverse = np.zeros((6, 16, 8), np.float32)
    assert not product(inverse, np.ones((1, 2, 8, 6), np.float32), 4).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_not_hidden(bad):
    planes = np.ones((1, 2, 40, 3), np.float32)
    planes[0, 1, 20, 1] = bad
    made = product(inverses(3, 40, [(0, 40)] * 3), planes)
    assert not np.isfinite(made[..., 1]).any()
    assert np.isfinite(made[..., [0, 2]]).all()


def test_an_inverse_that_cannot_be_written_and_comes_part_by_part_is_packed_alike():
    inverse = inverses(10, 31, some_reaches(10, 31))
    whole, parts = empty_packed(10, 31), empty_packed(10, 31)
    pack(inverse, whole)
    inverse.flags.writeable = False
    for part in (slice(4, 10), slice(0, 4)):
        pack(inverse, parts, part)
    np.testing.assert_array_equal(parts.numbers, whole.numbers)
    np.testing.assert_array_equal(parts.reach, whole.reach)


def test_two_threads_do_not_disturb_one_another():
    inverse = inverses(30, 90, some_reaches(30, 90))
    planes = np.random.default_rng(4).standard_normal((1, 2, 90, 30), np.float32)
    alone = product(inverse, planes)
    with ThreadPoolExecutor(2) as threads:
        for made in threads.map(lambda _: product(inverse, planes, 3), range(20)):
            np.testing.assert_array_equal(made, alone)


def test_more_rows_than_it_has_room_for_are_refused_with_the_number():
    with pytest.raises(LinearError, match=f"got {MOST_ROWS + 1} rows, wanted {MOST_ROWS}"):
        empty_packed(1, MOST_ROWS + 1)


def test_it_works_where_native_code_can_be_kept_nowhere():
    code = "from tests.engines.test_packed import *; test_parts_make_the_whole(2)"
    environment = {**os.environ, "NUMBA_CACHE_DIR": "/proc/nowhere"}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
