"""Custom models under the names that some know; the same as `gristmill.CustomModel` and its like."""

from gristmill.models.custom import CustomModel, ModelContext, inference_api, partitioned_api

__all__ = ["CustomModel", "ModelContext", "inference_api", "partitioned_api"]
