"""Every error Gristmill raises, as one tree.

::

    GristmillError
    ├── SpecError (ValueError)             a request that cannot be right, refused before anything is touched
    │   ├── LocationError                  a path or stage that cannot be resolved
    │   ├── SchemaError                    input columns that do not fit the request or the model
    │   └── ModelError                     a model or function that cannot be found or loaded
    ├── AccessError (PermissionError)      something outside the allowed stages and prefixes
    ├── EmptyInputError (FileNotFoundError) an input location that holds no files
    ├── OutputExistsError (FileExistsError) SaveMode.ERROR on a location that is not empty
    ├── OutputError (OSError)              an output that is missing, unfinished or damaged
    ├── ConflictError (RuntimeError)       another job or runner owns the job or the location
    ├── JobNotFoundError (LookupError)     no such job
    ├── JobStateError (RuntimeError)       the job is in a state that does not allow the call
    ├── JobFailedError (RuntimeError)      the job that was waited for did not end well
    ├── FailedRowsError (RuntimeError)     the output is there, with more failed rows than its caller takes
    ├── ServiceNotFoundError (LookupError) no such service
    ├── ServiceFailedError (RuntimeError)  the service did not start, or has ended
    ├── PartitionError (ValueError)        a partition that is too large, or has a row that failed before
    ├── PlacementError (RuntimeError)      no replica could be placed
    ├── RegistryError (OSError)            a model registry that does not answer, or fails
    ├── MessagesError (ValueError)         a row's chat messages that are none; the row's failure, never the job's
    └── MissingExtraError (ImportError)    an optional dependency is not installed

A row that fails is not an exception but data: see `gristmill.spec.row_error.RowError`.
"""

__all__ = [
    "AccessError",
    "ConflictError",
    "EmptyInputError",
    "FailedRowsError",
    "GristmillError",
    "JobFailedError",
    "JobNotFoundError",
    "JobStateError",
    "LocationError",
    "MessagesError",
    "MissingExtraError",
    "ModelError",
    "OutputError",
    "OutputExistsError",
    "PartitionError",
    "PlacementError",
    "RegistryError",
    "SchemaError",
    "ServiceFailedError",
    "ServiceNotFoundError",
    "SpecError",
]


class GristmillError(Exception):
    """Base of every error raised on purpose by Gristmill."""


class SpecError(GristmillError, ValueError):
    """A request that cannot be right; nothing was read, written or deleted."""


class LocationError(SpecError):
    """A path, URL or stage reference that cannot be resolved."""


class SchemaError(SpecError):
    """Input columns that do not fit the request or the model."""


class ModelError(SpecError):
    """A model or a function of it that cannot be found or loaded."""


class AccessError(GristmillError, PermissionError):
    """A reference outside the stages and prefixes that the job may open."""


class EmptyInputError(GristmillError, FileNotFoundError):
    """An input location, glob or listing that matches no files."""


class OutputExistsError(GristmillError, FileExistsError):
    """`SaveMode.ERROR` on a location that already holds files."""


class OutputError(GristmillError, OSError):
    """An output that is missing, unfinished or damaged."""


class ConflictError(GristmillError, RuntimeError):
    """Another job or another runner owns the job or the output location."""


class JobNotFoundError(GristmillError, LookupError):
    """No job has this id or name."""


class JobStateError(GristmillError, RuntimeError):
    """The job's state does not allow what was asked."""


class JobFailedError(GristmillError, RuntimeError):
    """The job that was waited for did not end well; the message has its error and the end of its log."""


class PartitionError(GristmillError, ValueError):
    """A partition that cannot be run: it is larger than one may be, or has a row that failed before."""


class FailedRowsError(GristmillError, RuntimeError):
    """The job is done and its output stands, but more of its rows have failed than its caller takes."""


class ServiceNotFoundError(GristmillError, LookupError):
    """No service has this name."""


class ServiceFailedError(GristmillError, RuntimeError):
    """The service did not start, or has ended; the message has the end of its log."""


class PlacementError(GristmillError, RuntimeError):
    """No replica could be placed with the resources that were asked."""


class RegistryError(GristmillError, OSError):
    """A model registry that does not answer, or fails at what it was asked; nothing is known of the model."""


class MessagesError(GristmillError, ValueError):
    """A cell that is no list of chat messages; says where. It becomes the error of its row."""


class MissingExtraError(GristmillError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    @classmethod
    def of(cls, package: str, extra: str, *, need: str) -> "MissingExtraError":
        """The error for `package`, brought by `extra`, which is needed for `need`."""
        return cls(f"{need} needs the package {package!r}: pip install 'gristmill[{extra}]'")
