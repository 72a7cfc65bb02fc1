import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.errors import SpecError
from gristmill.executors.resources import Resources


def _replica(**asked: float | None) -> Resources:
    return Resources.of_replica(**{"num_workers": 1, "cpus": None, "memory": None, "gpus": None, **asked})


def test_each_worker_gets_a_cpu_when_nothing_is_asked():
    assert _replica(num_workers=3).bundle() == {"CPU": 3.0}


def test_zero_cpus_are_zero_and_not_the_default():
    assert _replica(cpus=0, gpus=1).bundle() == {"GPU": 1.0}


def test_a_replica_that_asks_for_nothing_still_has_a_bundle():
    assert set(_replica(cpus=0).bundle()) == {"CPU"}


def test_workers_share_gpus_in_fractions_or_in_whole_numbers():
    assert _replica(num_workers=2, gpus=1).of_worker(2).gpus == 0.5
    assert _replica(num_workers=2, gpus=4).of_worker(2).gpus == 2
    assert _replica(num_workers=4, gpus=2).of_worker(4).gpus == 0.5
    assert _replica(num_workers=2, gpus=0.5).of_worker(2).gpus == 0.25


@pytest.mark.parametrize(("gpus", "num_workers"), [(3, 2), (1.5, 1), (2, 3), (4, 6)])
def test_gpus_that_workers_cannot_share_are_refused_with_a_way_out(gpus: float, num_workers: int):
    with pytest.raises(SpecError, match=rf"gpu_requests={gpus:g}.*(ask for|make num_workers)"):
        _replica(num_workers=num_workers, gpus=gpus)


@given(
    num_workers=st.integers(1, 64),
    cpus=st.floats(0.001, 512),
    memory=st.integers(0, 2**44),
)
def test_the_shares_of_all_workers_fit_into_the_bundle(num_workers: int, cpus: float, memory: int):
    replica = _replica(num_workers=num_workers, cpus=cpus, memory=memory)
    share = replica.of_worker(num_workers)
    # as Ray counts: ten thousandths
    assert round(share.cpus * 10_000) * num_workers <= cpus * 10_000 + 1e-6
    assert share.memory * num_workers <= memory


def test_a_replica_over_nodes_asks_for_a_bundle_for_each_gpu_and_shares_the_rest_out():
    shares = _replica(cpus=4, memory=2**31, gpus=2).spread()
    assert [share.bundle() for share in shares] == [{"CPU": 2.0, "GPU": 1.0, "memory": 2.0**30}] * 2


@pytest.mark.parametrize("gpus", [None, 0, 0.5])
def test_a_replica_over_nodes_without_whole_gpus_is_refused(gpus: float | None):
    with pytest.raises(SpecError, match=r"gpu_requests=.*ask for whole GPUs"):
        _replica(gpus=gpus).spread()
