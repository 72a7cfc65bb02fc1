"""Which models a service says that it has."""

import asyncio

import pytest
from aiohttp import web
from tests.engines.openai.server import KEY, MODEL, Service

from gristmill.engines.openai.endpoint import Endpoint, endpoint_of
from gristmill.engines.openai.listing import served_models
from gristmill.engines.protocol import EngineRefusedError
from gristmill.settings import Settings


def endpoint(service: Service, key: str = KEY) -> Endpoint:
    given = {"base_url": service.base_url, "api_key": key}
    return endpoint_of(Settings.load(endpoints={"lab": given}), {"endpoint": "lab"})


def test_the_names_of_its_models_are_told(service: Service) -> None:
    assert asyncio.run(served_models(endpoint(service))) == [MODEL]


@pytest.mark.parametrize("text", ["", "<h1>no</h1>", "[1]", '{"data": 5}', '{"data": [5]}', '{"models": []}'])
def test_an_answer_that_is_no_listing_tells_nothing(service: Service, text: str) -> None:
    service.listing = lambda: web.Response(text=text)
    assert asyncio.run(served_models(endpoint(service))) is None


def test_a_service_without_a_listing_or_that_is_not_there_tells_nothing(service: Service) -> None:
    service.models = False
    assert asyncio.run(served_models(endpoint(service))) is None
    service.stop()
    assert asyncio.run(served_models(endpoint(service))) is None
    service.start()


def test_a_key_that_is_not_valid_is_refused_and_not_shown(service: Service) -> None:
    service.key = KEY
    with pytest.raises(EngineRefusedError, match="401") as caught:
        asyncio.run(served_models(endpoint(service, "sk-other-key")))
    assert "sk-other-key" not in str(caught.value)
    assert "[endpoints.lab]" in str(caught.value)
