"""MRD v1 by number: message ids, fixed headers, flag bits, data and image types (little-endian)."""

from enum import IntEnum
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ACQUISITION",
    "CALIBRATION",
    "DTYPE_OF",
    "ENDING",
    "FRAME_COUNTERS",
    "IMAGE",
    "SERVICE",
    "TYPE_OF",
    "WAVEFORM",
    "AcqFlag",
    "ImageType",
    "MessageId",
    "flag_mask",
    "has_flag",
]


class MessageId(IntEnum):
    """The two bytes in front of every message."""

    CONFIG_FILE = 1
    CONFIG_TEXT = 2
    HEADER = 3
    CLOSE = 4
    TEXT = 5
    QUERY = 6
    RESPONSE = 7
    ERROR = 8
    ACQUISITION = 1008
    DICOM_WITHNAME = 1018
    IMAGE = 1022
    RECONDATA = 1023
    IMAGE_ARRAY = 1024
    WAVEFORM = 1026
    FEEDBACK = 1028
    NDARRAY = 1030
    BUCKET = 1050
    BUNDLE = 1051


class AcqFlag(IntEnum):
    """Acquisition flags, numbered from 1 as in the MRD standard: bit = 1 << (flag - 1)."""

    FIRST_IN_ENCODE_STEP1 = 1
    LAST_IN_ENCODE_STEP1 = 2
    FIRST_IN_ENCODE_STEP2 = 3
    LAST_IN_ENCODE_STEP2 = 4
    FIRST_IN_AVERAGE = 5
    LAST_IN_AVERAGE = 6
    FIRST_IN_SLICE = 7
    LAST_IN_SLICE = 8
    FIRST_IN_CONTRAST = 9
    LAST_IN_CONTRAST = 10
    FIRST_IN_PHASE = 11
    LAST_IN_PHASE = 12
    FIRST_IN_REPETITION = 13
    LAST_IN_REPETITION = 14
    FIRST_IN_SET = 15
    LAST_IN_SET = 16
    FIRST_IN_SEGMENT = 17
    LAST_IN_SEGMENT = 18
    IS_NOISE_MEASUREMENT = 19
    IS_PARALLEL_CALIBRATION = 20
    IS_PARALLEL_CALIBRATION_AND_IMAGING = 21
    IS_REVERSE = 22
    IS_NAVIGATION_DATA = 23
    IS_PHASECORR_DATA = 24
    LAST_IN_MEASUREMENT = 25
    IS_HPFEEDBACK_DATA = 26
    IS_DUMMYSCAN_DATA = 27
    IS_RTFEEDBACK_DATA = 28
    IS_SURFACECOILCORRECTIONSCAN_DATA = 29
    IS_PHASE_STABILIZATION_REFERENCE = 30
    IS_PHASE_STABILIZATION = 31
    COMPRESSION1 = 53
    COMPRESSION2 = 54


class ImageType(IntEnum):
    """What the pixels of an image are."""

    MAGNITUDE = 1
    PHASE = 2
    REAL = 3
    IMAGINARY = 4
    COMPLEX = 5
    RGB = 6


COUNTERS: Final = np.dtype(
    {
        "names": [
            "kspace_encode_step_1",
            "kspace_encode_step_2",
            "average",
            "slice",
            "contrast",
            "phase",
            "repetition",
            "set",
            "segment",
            "user",
        ],
        "formats": ["<u2"] * 9 + [("<u2", 8)],
    }
)

ACQUISITION: Final = np.dtype(
    [
        ("version", "<u2"),
        ("flags", "<u8"),
        ("measurement_uid", "<u4"),
        ("scan_counter", "<u4"),
        ("acquisition_time_stamp", "<u4"),
        ("physiology_time_stamp", "<u4", 3),
        ("number_of_samples", "<u2"),
        ("available_channels", "<u2"),
        ("active_channels", "<u2"),
        ("channel_mask", "<u8", 16),
        ("discard_pre", "<u2"),
        ("discard_post", "<u2"),
        ("center_sample", "<u2"),
        ("encoding_space_ref", "<u2"),
        ("trajectory_dimensions", "<u2"),
        ("sample_time_us", "<f4"),
        ("position", "<f4", 3),
        ("read_dir", "<f4", 3),
        ("phase_dir", "<f4", 3),
        ("slice_dir", "<f4", 3),
        ("patient_table_position", "<f4", 3),
        ("idx", COUNTERS),
        ("user_int", "<i4", 8),
        ("user_float", "<f4", 8),
    ]
)

IMAGE: Final = np.dtype(
    [
        ("version", "<u2"),
        ("data_type", "<u2"),
        ("flags", "<u8"),
        ("measurement_uid", "<u4"),
        ("matrix_size", "<u2", 3),
        ("field_of_view", "<f4", 3),
        ("channels", "<u2"),
        ("position", "<f4", 3),
        ("read_dir", "<f4", 3),
        ("phase_dir", "<f4", 3),
        ("slice_dir", "<f4", 3),
        ("patient_table_position", "<f4", 3),
        ("average", "<u2"),
        ("slice", "<u2"),
        ("contrast", "<u2"),
        ("phase", "<u2"),
        ("repetition", "<u2"),
        ("set", "<u2"),
        ("acquisition_time_stamp", "<u4"),
        ("physiology_time_stamp", "<u4", 3),
        ("image_type", "<u2"),
        ("image_index", "<u2"),
        ("image_series_index", "<u2"),
        ("user_int", "<i4", 8),
        ("user_float", "<f4", 8),
        ("attribute_string_len", "<u4"),
    ]
)

WAVEFORM: Final = np.dtype(
    {
        "names": [
            "version",
            "flags",
            "measurement_uid",
            "scan_counter",
            "time_stamp",
            "number_of_samples",
            "channels",
            "sample_time_us",
            "waveform_id",
        ],
        "formats": ["<u2", "<u8", "<u4", "<u4", "<u4", "<u2", "<u2", "<f4", "<u2"],
        "offsets": [0, 8, 16, 20, 24, 28, 30, 32, 36],
        "itemsize": 40,
    }
)

DTYPE_OF: Final[dict[int, np.dtype[Any]]] = {
    1: np.dtype("<u2"),
    2: np.dtype("<i2"),
    3: np.dtype("<u4"),
    4: np.dtype("<i4"),
    5: np.dtype("<f4"),
    6: np.dtype("<f8"),
    7: np.dtype("<c8"),
    8: np.dtype("<c16"),
}
TYPE_OF: Final[dict[np.dtype[Any], int]] = {dtype: number for number, dtype in DTYPE_OF.items()}


@cache
def flag_mask(*flags: AcqFlag) -> np.uint64:
    """Combine flags into the bit mask that stands in an acquisition header."""
    return np.uint64(sum(1 << (flag - 1) for flag in flags))


def has_flag(bits: NDArray[np.uint64], *flags: AcqFlag) -> NDArray[np.bool_]:
    """Tell for each flag word of acquisition headers whether any of the flags is set."""
    return np.bitwise_and(bits, flag_mask(*flags)) != 0


FRAME_COUNTERS: Final = ("slice", "contrast", "phase", "repetition", "set")  # the counters that tell frames apart
CALIBRATION: Final = (AcqFlag.IS_PARALLEL_CALIBRATION, AcqFlag.IS_PARALLEL_CALIBRATION_AND_IMAGING)
SERVICE: Final = (  # neither an image's lines nor a navigator
    AcqFlag.IS_PHASECORR_DATA,
    AcqFlag.IS_HPFEEDBACK_DATA,
    AcqFlag.IS_DUMMYSCAN_DATA,
    AcqFlag.IS_RTFEEDBACK_DATA,
    AcqFlag.IS_SURFACECOILCORRECTIONSCAN_DATA,
)
ENDING: Final = (  # what says that a frame is complete
    AcqFlag.LAST_IN_SLICE,
    AcqFlag.LAST_IN_CONTRAST,
    AcqFlag.LAST_IN_PHASE,
    AcqFlag.LAST_IN_REPETITION,
    AcqFlag.LAST_IN_SET,
    AcqFlag.LAST_IN_MEASUREMENT,
)

if (ACQUISITION.itemsize, IMAGE.itemsize, WAVEFORM.itemsize) != (340, 198, 40):
    raise AssertionError("an MRD header has another size than the standard says")
