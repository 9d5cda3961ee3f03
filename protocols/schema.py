"""The classes of the ISMRMRD header schema, from the `ismrmrd` package."""

import warnings
from typing import Final

with warnings.catch_warnings():  # the package sets the warning filters of the whole process when it is imported
    from ismrmrd import xsd

__all__ = ["NAMESPACE", "xsd"]

NAMESPACE: Final = "http://www.ismrm.org/ISMRMRD"
