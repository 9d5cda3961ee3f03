"""Whom a header names: with and without namespace, and nobody where it names nobody."""

import pytest

from protocols.subject import subject_id


@pytest.mark.parametrize(
    ("xml", "wanted"),
    [
        ("<h><subjectInformation><patientID> s 7 </patientID></subjectInformation></h>", "s 7"),
        ('<h xmlns="http://x"><subjectInformation><patientID>s7</patientID></subjectInformation></h>', "s7"),
        ("<h><subjectInformation><patientName>n</patientName><patientID/></subjectInformation></h>", ""),
        ("<h/>", ""),
        ("<h", ""),
        ("", ""),
    ],
)
def test_the_subject_is_the_headers_patient_id_or_nobody(xml, wanted):
    assert subject_id(xml) == wanted
