"""Define the columns of a catalogue, ``catalogue.parquet``: one row for each store.

Most are values of the Data Center's record of a dataset, whose key each column names. Readers
ignore columns that they do not know, and treat those that are absent as null.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["BY_KEY", "COLUMNS", "NAME", "ROOT_KEY", "VERSION", "Column", "Kind", "arrow_schema"]

NAME: Final = "catalogue.parquet"
"""The name of the file, in the directory of the stores."""

VERSION: Final = 1
"""Of the format. Columns may be added to it; one that changes its meaning makes another version."""

ROOT_KEY: Final = "dkist_virtual"
"""The key of the metadata, JSON, of the schema and of each column."""

Kind: TypeAlias = Literal["text", "texts", "integer", "integers", "float", "boolean", "time"]


@dataclass(frozen=True, slots=True)
class Column:
    """Describe one column of a catalogue.

    Parameters
    ----------
    name : str
    kind : {"text", "texts", "integer", "integers", "float", "boolean", "time"}
        "texts" and "integers" are lists, a time is in UTC with microseconds. Each may be null,
        which means that the value is not known.
    about : str
        What it says.
    key : str, optional
        Its key in the Data Center's records, and in the inventory of an ASDF.
    unit : str, optional
        As `astropy.units` writes it.
    """

    name: str
    kind: Kind
    about: str
    key: str | None = None
    unit: str | None = None

    @property
    def arrow(self) -> pa.DataType:
        """The type of the column in Parquet."""
        import pyarrow as pa

        element = {"texts": pa.string(), "integers": pa.int64()}
        plain = {
            "text": pa.string(),
            "integer": pa.int64(),
            "float": pa.float64(),
            "boolean": pa.bool_(),
            "time": pa.timestamp("us", tz="UTC"),
        }
        return pa.list_(element[self.kind]) if self.kind in element else plain[self.kind]


def _text(name: str, key: str | None, about: str) -> Column:
    return Column(name, "text", about, key)


COLUMNS: Final[tuple[Column, ...]] = (
    _text("dataset_id", "datasetId", "ID of the dataset; of an inversion its own"),
    _text("product_id", "productId", "ID of the product, the same when it is processed again"),
    _text("kind", None, "dataset, mosaic or inversion"),
    _text("status", "status", "ACTIVE, DEPRECATED or REMOVED; null where nobody says it"),
    _text("instrument", "instrumentName", "Name of the instrument"),
    Column("start", "time", "First moment", "startTime"),
    Column("end", "time", "Last moment", "endTime"),
    Column("lines", "texts", "Names of the spectral lines", "spectralLines"),
    Column("wavelength_min", "float", "Smallest wavelength", "wavelengthMin", "nm"),
    Column("wavelength_max", "float", "Largest wavelength", "wavelengthMax", "nm"),
    _text("stokes", "stokesParameters", "Stokes parameters, such as IQUV"),
    Column("has_all_stokes", "boolean", "More than one Stokes parameter", "hasAllStokes"),
    *(
        Column(
            f"{axis}_{end}",
            "float",
            f"{side} {name} of the frames on the sky, helioprojective",
            unit="arcsec",
        )
        for axis, name in (("tx", "longitude"), ("ty", "latitude"))
        for end, side in (("min", "Smallest"), ("max", "Largest"))
    ),
    Column(
        "fried_mean",
        "float",
        "Mean Fried parameter of the frames",
        "qualityAverageFriedParameter",
        "m",
    ),
    Column("fried_min", "float", "Smallest Fried parameter", unit="m"),
    Column("fried_max", "float", "Largest Fried parameter", unit="m"),
    Column("exposure", "float", "Exposure time, as the Data Center states it", "exposureTime"),
    Column("targets", "texts", "Kinds of target, such as sunspot", "targetTypes"),
    Column("shape", "integers", "Of the array; of a mosaic, that of its first tile"),
    Column("axes", "texts", "Names of the array's axes"),
    _text("dtype", None, "Type of the pixels, as numpy writes it"),
    _text("unit", None, "Unit of the pixels; empty if dimensionless"),
    Column("grid", "integers", "Shape of the grid of a mosaic's tiles"),
    Column("n_frames", "integer", "Number of frames", "frameCount"),
    Column("n_bytes", "integer", "Length of all frame files; null unless all were scanned"),
    Column("dataset_size", "float", "Size of all frame files", "datasetSize", "GiB"),
    Column("embargoed", "boolean", "Under embargo", "isEmbargoed"),
    Column("embargo_end", "time", "Until when it is", "embargoEndDate"),
    Column("downloadable", "boolean", "Whether it may be downloaded", "isDownloadable"),
    _text("proposal_id", "primaryProposalId", "ID of the primary proposal"),
    _text("experiment_id", "primaryExperimentId", "ID of the primary experiment"),
    Column("proposal_ids", "texts", "IDs of all proposals", "contributingProposalIds"),
    Column("experiment_ids", "texts", "IDs of all experiments", "contributingExperimentIds"),
    _text("description", "experimentDescription", "Description of the experiment"),
    Column("has_spectral_axis", "boolean", "The array has such an axis", "hasSpectralAxis"),
    Column("has_temporal_axis", "boolean", "The array has such an axis", "hasTemporalAxis"),
    Column("spectral_sampling", "float", "Mean step", "averageDatasetSpectralSampling", "nm"),
    Column(
        "spatial_sampling", "float", "Mean step", "averageDatasetSpatialSampling", "arcsec / pix"
    ),
    Column("temporal_sampling", "float", "Mean step", "averageDatasetTemporalSampling", "s"),
    Column("polarimetric_accuracy", "float", "Mean accuracy", "qualityAveragePolarimetricAccuracy"),
    Column("filter_wavelengths", "text", "As JSON", "filterWavelengths"),
    _text("observables", "observables", "As JSON"),
    Column("level0_frames", "integer", "Number of raw frames", "originalFrameCount"),
    Column("manually_processed", "boolean", "Processed by hand", "isManuallyProcessed"),
    Column("recipe_id", "integer", "Of the calibration", "recipeId"),
    Column("recipe_instance_id", "integer", "Of the calibration", "recipeInstanceId"),
    Column("recipe_run_id", "integer", "Of the calibration", "recipeRunId"),
    _text("workflow_name", "workflowName", "Of the calibration"),
    _text("workflow_version", "workflowVersion", "Of the calibration"),
    _text("header_version", "headerVersion", "Of the specification of the headers"),
    _text("summit_software", "highLevelSoftwareVersion", "Version of the software at the summit"),
    _text("observing_program_id", "observingProgramExecutionId", "Of its execution"),
    _text("instrument_program_id", "instrumentProgramExecutionId", "Of its execution"),
    Column("parameters_part_id", "integer", "Of the input", "inputDatasetParametersPartId"),
    Column("observe_part_id", "integer", "Of the input", "inputDatasetObserveFramesPartId"),
    Column("calibration_part_id", "integer", "Of the input", "inputDatasetCalibrationFramesPartId"),
    _text("header_url", "headerDocumentationUrl", "Documentation of the headers"),
    _text("info_url", "infoUrl", "Further information"),
    _text("calibration_url", "calibrationDocumentationUrl", "Documentation of the calibration"),
    Column("created", "time", "When the Data Center made the record", "createDate"),
    Column("updated", "time", "When it changed it last", "updateDate"),
    Column("processed", "time", "When the frames were written", "headerDataUnitCreationDate"),
    _text("bucket", "bucket", "Where the Data Center keeps the dataset"),
    _text("asdf_key", "asdfObjectKey", "The ASDF at the Data Center"),
    _text("quality_key", "qualityReportObjectKey", "The quality report at the Data Center"),
    _text("movie_key", "browseMovieObjectKey", "The preview movie at the Data Center"),
    _text("movie_url", "browseMovieUrl", "Address of the preview movie"),
    _text("store", None, "The store: its place, relative to the directory of the catalogue"),
    _text("preview", None, "A picture, likewise; null where there is none"),
    _text("references", None, "File of the store with its references"),
    _text("asdf", None, "Name of the ASDF that the store was made from"),
    _text("asdf_version", None, "Version of the form of that ASDF"),
    _text("base", None, "Directory or URL of the frames"),
    _text("store_id", None, "ID of the references of the store"),
    Column("format_version", "integer", "Of the store"),
    _text("software", None, "Version of dkist_virtual that made the store"),
    Column("converted", "time", "When the store was made"),
    _text("row_id", None, "Digest of what the row was made from"),
)
"""All columns, in their order. Only additions at any place, with a new name, are compatible."""

BY_KEY: Final[dict[str, Column]] = {column.key: column for column in COLUMNS if column.key}
"""The columns whose values are those of a key of the Data Center's records."""


def arrow_schema() -> pa.Schema:
    """Make the schema of the file, with unit, key and meaning of each column in its metadata."""
    import json

    import pyarrow as pa

    def about(values: dict[str, Any]) -> dict[str, str]:
        return {ROOT_KEY: json.dumps({k: v for k, v in values.items() if v is not None})}

    return pa.schema(
        [
            pa.field(
                column.name,
                column.arrow,
                metadata=about({"about": column.about, "key": column.key, "unit": column.unit}),
            )
            for column in COLUMNS
        ],
        metadata=about({"catalogue_version": VERSION}),
    )
