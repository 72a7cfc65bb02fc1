"""Where a model may run, under the names that some know: here every model runs on any pool.

`Registry.log_model` takes them as `target_platforms`, and says that they change nothing.

Example:
    >>> from gristmill import target_platform
    >>> target_platform.WAREHOUSE_ONLY
    ('WAREHOUSE',)
"""

__all__ = ["ALL", "SNOWPARK_CONTAINER_SERVICES_ONLY", "WAREHOUSE_ONLY"]

SNOWPARK_CONTAINER_SERVICES_ONLY = ("SNOWPARK_CONTAINER_SERVICES",)
WAREHOUSE_ONLY = ("WAREHOUSE",)
ALL = (*WAREHOUSE_ONLY, *SNOWPARK_CONTAINER_SERVICES_ONLY)
