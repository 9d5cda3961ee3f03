"""Our `Scan` to ISMRMRD header XML, as a scanner would send it."""

from typing import Any

from xsdata.formats.dataclass.context import XmlContext
from xsdata.formats.dataclass.serializers import XmlSerializer
from xsdata.formats.dataclass.serializers.config import SerializerConfig

from protocols.errors import LocalError
from protocols.scan import Encoding, Scan
from protocols.schema import NAMESPACE, xsd

__all__ = ["write_header"]


def write_header(scan: Scan) -> str:
    """Write a header that is valid by the schema and from which parse_header makes the same Scan.

    The resonance frequency is written in whole Hz. Raises LocalError for a measurement without a patient position.
    """
    header = xsd.ismrmrdHeader(
        measurementInformation=_measurement(scan),
        acquisitionSystemInformation=_system(scan),
        experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=round(scan.resonance_hz or 0)),
        encoding=[_encoding(encoding) for encoding in scan.encodings],
        sequenceParameters=_sequence(scan),
        userParameters=_parameters(scan),
    )
    config = SerializerConfig(encoding="UTF-8", indent=" ")
    return XmlSerializer(config=config, context=XmlContext()).render(header, ns_map={"": NAMESPACE})


def _measurement(scan: Scan) -> Any:
    if not (scan.measurement_id or scan.protocol_name or scan.patient_position or scan.dependencies):
        return None
    if not scan.patient_position:
        raise LocalError("header: no patient position; the schema wants one beside a measurement id or protocol name")
    return xsd.measurementInformationType(
        measurementID=scan.measurement_id or None,
        patientPosition=xsd.patientPositionType(scan.patient_position),
        protocolName=scan.protocol_name or None,
        measurementDependency=[
            xsd.measurementDependencyType(dependencyType=kind, measurementID=other)
            for kind, other in scan.dependencies.items()
        ],
    )


def _system(scan: Scan) -> Any:
    labels = enumerate(scan.coil_labels)
    system = xsd.acquisitionSystemInformationType(
        systemVendor=scan.system_vendor or None,
        systemModel=scan.system_model or None,
        systemFieldStrength_T=scan.field_strength_t,
        relativeReceiverNoiseBandwidth=scan.relative_noise_bandwidth,
        receiverChannels=scan.coils,
        coilLabel=[xsd.coilLabelType(coilNumber=number, coilName=name) for number, name in labels],
    )
    return None if system == xsd.acquisitionSystemInformationType() else system


def _encoding(encoding: Encoding) -> Any:
    parallel = None
    if encoding.acceleration != (1, 1) or encoding.calibration_mode:
        first, second = encoding.acceleration
        mode = encoding.calibration_mode
        parallel = xsd.parallelImagingType(
            accelerationFactor=xsd.accelerationFactorType(kspace_encoding_step_1=first, kspace_encoding_step_2=second),
            calibrationMode=xsd.calibrationModeType(mode) if mode else None,
        )
    limits = {
        name: xsd.limitType(minimum=limit.minimum, maximum=limit.maximum, center=limit.centre)
        for name, limit in encoding.limits.items()
    }
    return xsd.encodingType(
        encodedSpace=_space(encoding.encoded_matrix, encoding.encoded_fov_mm),
        reconSpace=_space(encoding.recon_matrix, encoding.recon_fov_mm),
        encodingLimits=xsd.encodingLimitsType(**limits),
        trajectory=xsd.trajectoryType(encoding.trajectory),
        parallelImaging=parallel,
    )


def _space(matrix: tuple[int, int, int], fov_mm: tuple[float, float, float]) -> Any:
    return xsd.encodingSpaceType(
        matrixSize=xsd.matrixSizeType(**dict(zip("xyz", matrix, strict=True))),
        fieldOfView_mm=xsd.fieldOfViewMm(**dict(zip("xyz", fov_mm, strict=True))),
    )


def _sequence(scan: Scan) -> Any:
    sequence = xsd.sequenceParametersType(
        TR=list(scan.tr_ms),
        TE=list(scan.te_ms),
        TI=list(scan.ti_ms),
        flipAngle_deg=list(scan.flip_angle_deg),
        sequence_type=scan.sequence_type or None,
    )
    return None if sequence == xsd.sequenceParametersType() else sequence


def _parameters(scan: Scan) -> Any:
    user = xsd.userParametersType()
    for name, value in scan.parameters.items():
        if isinstance(value, str):
            user.userParameterString.append(xsd.userParameterStringType(name=name, value=value))
        elif isinstance(value, int):
            user.userParameterLong.append(xsd.userParameterLongType(name=name, value=value))
        else:
            user.userParameterDouble.append(xsd.userParameterDoubleType(name=name, value=value))
    return user if scan.parameters else None
