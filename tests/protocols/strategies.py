"""Messages of every kind, for laws about the wire."""

import string

import numpy as np
from hypothesis import strategies as st

from protocols import mrd
from protocols.messages import (
    Blob,
    Close,
    Config,
    Error,
    Feedback,
    Header,
    Image,
    Query,
    Readouts,
    Response,
    Text,
    Waveforms,
)
from protocols.meta import write_meta

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
meta_texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))
names = st.text(string.printable, min_size=1, max_size=30)
seeds = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)


def filled(dtype, seed, count=1):
    """Headers whose every byte is random, but for flags that say the samples are compressed."""
    octets = np.random.default_rng(seed).integers(0, 256, dtype.itemsize * count, np.uint8)
    made = np.zeros(count, dtype)
    made[...] = octets.view(dtype)
    for name in dtype.names:  # NaN is not equal to itself
        if dtype[name].base.kind == "f":
            made[name] = seed % 1000 + np.arange(np.prod(made[name].shape)).reshape(made[name].shape)
    if dtype == mrd.ACQUISITION:
        made["flags"] &= ~mrd.flag_mask(mrd.AcqFlag.COMPRESSION1, mrd.AcqFlag.COMPRESSION2)
    return made


@st.composite
def readouts(draw, most=5):
    count, coils, samples, dimensions = (draw(st.integers(*span)) for span in ((1, most), (1, 4), (1, 9), (0, 3)))
    seed = draw(seeds)
    random = np.random.default_rng(seed)
    headers = filled(mrd.ACQUISITION, seed, count)
    headers["number_of_samples"], headers["active_channels"] = samples, coils
    headers["trajectory_dimensions"] = dimensions
    data = random.standard_normal((count, coils, samples, 2), np.float32).view(np.complex64)[..., 0]
    return Readouts(headers, random.standard_normal((count, samples, dimensions), np.float32), data)


@st.composite
def images(draw):
    shape = tuple(draw(st.integers(1, 5)) for _ in range(4))
    seed = draw(seeds)
    kind = draw(st.sampled_from(sorted(mrd.DTYPE_OF)))
    octets = np.random.default_rng(seed).integers(0, 64, (*shape, mrd.DTYPE_OF[kind].itemsize), np.uint8)
    header = filled(mrd.IMAGE, seed)[0]
    header["data_type"], header["channels"], header["matrix_size"] = kind, shape[0], shape[:0:-1]
    values = meta_texts | st.lists(meta_texts, max_size=3).filter(lambda several: len(several) != 1)
    meta = draw(st.dictionaries(meta_texts, values, max_size=4))
    header["attribute_string_len"] = len(write_meta(meta))
    return Image(header, octets.view(mrd.DTYPE_OF[kind])[..., 0], meta)


@st.composite
def waveforms(draw):
    traces, samples, seed = draw(st.integers(0, 4)), draw(st.integers(0, 9)), draw(seeds)
    header = filled(mrd.WAVEFORM, seed)[0]
    header["channels"], header["number_of_samples"] = traces, samples
    return Waveforms(header, np.random.default_rng(seed).integers(0, 2**32, (traces, samples), np.uint32))


@st.composite
def arrays(draw):
    """NDARRAY(1030), which is carried unread."""
    kind = draw(st.sampled_from(sorted(mrd.DTYPE_OF)))
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    head = np.array((kind, 0, len(shape)), "<u2").tobytes() + np.array(shape, "<u8").tobytes()
    return Blob(mrd.MessageId.NDARRAY, head + bytes(mrd.DTYPE_OF[kind].itemsize * int(np.prod(shape))))


others = st.one_of(
    st.builds(Text, texts),
    st.builds(Error, texts),
    st.builds(Config, names, st.just(value=True)),
    st.builds(Config, texts, st.just(value=False)),
    st.builds(Header, texts),
    st.builds(Query, u64, texts),
    st.builds(Response, u64, texts),
    st.builds(Feedback, texts, st.binary(max_size=40)),
    images(),
    waveforms(),
    arrays(),
    st.just(Close()),
)
anything = readouts() | others
