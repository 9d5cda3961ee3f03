"""Image attributes to XML and back."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.meta import UNPARSED, parse_meta, write_meta
from tests.protocols.strategies import meta_texts

laws = settings(deadline=None)
values = meta_texts | st.lists(meta_texts, max_size=3).filter(lambda several: len(several) != 1)


@laws
@given(st.dictionaries(meta_texts, values))
def test_what_is_written_is_what_is_read(meta):
    assert parse_meta(write_meta(meta).decode()) == meta


@laws
@given(st.dictionaries(st.text(), st.text() | st.lists(st.text()), min_size=1))
def test_whatever_is_written_is_well_formed(meta):
    assert len(ET.fromstring(write_meta(meta))) == len(meta)


def test_control_characters_are_left_out_and_line_ends_are_kept():
    assert parse_meta(write_meta({"a": "x\x00\x07y\r\n\tz\ud800\ufffe"}).decode()) == {"a": "xy\r\n\tz"}


def test_no_attributes_are_no_bytes():
    assert write_meta({}) == b""
    assert parse_meta("") == parse_meta(" \n") == {}


def test_a_name_that_comes_twice_has_a_list():
    xml = "<ismrmrdMeta>{0}<meta><name>b</name><value>3</value></meta>{0}</ismrmrdMeta>"
    assert parse_meta(xml.format("<meta><name>a</name><value>1</value></meta>")) == {"a": ["1", "1"], "b": "3"}


def test_a_namespace_and_strange_elements_do_no_harm():
    xml = '<ismrmrdMeta xmlns="urn:x"><meta><name>a</name><kind/><value>1</value></meta></ismrmrdMeta>'
    assert parse_meta(xml) == {"a": "1"}


@pytest.mark.parametrize("text", ["not xml", "<ismrmrdMeta>", "<other/>"])
def test_what_is_no_ismrmrd_meta_is_kept_whole(text):
    assert parse_meta(text) == {UNPARSED: text}
