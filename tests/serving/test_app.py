"""Requests over a real connection: each way to ask, many at once, and what is told about it all."""

import asyncio
import base64
import io
import json

import httpx
import jsonschema
import numpy as np
import pytest
from fastapi.openapi.models import OpenAPI
from known import Known, as_json, encoded, picture, post, serving, share, until
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from kcnn.serving.limits import Limits


@pytest.mark.parametrize("way", ["form", "json", "named", "data url", "wrapped base64", "raw"])
def test_every_way_to_send_an_image_gives_its_answer(client, way):
    image = picture(2, 1234)
    name = {"form": "0.png", "named": "my.png", "raw": "image"}.get(way, "image 1")
    (text,) = as_json(image)["images"]
    response = {
        "form": lambda: post(client, image),
        "json": lambda: client.post("/v1/predict", json={"images": [text]}),
        "named": lambda: client.post("/v1/predict", json={"images": [{"name": "my.png", "data": text}]}),
        "data url": lambda: client.post("/v1/predict", json={"images": ["data:image/png;base64," + text]}),
        "wrapped base64": lambda: client.post("/v1/predict", json={"images": [base64.encodebytes(image).decode()]}),
        "raw": lambda: client.post("/v1/predict", content=image, headers={"Content-Type": "image/png"}),
    }[way]()
    assert response.status_code == 200
    (found,) = response.json()["predictions"]
    assert (found["image"], found["label"], found["probability"]) == (name, "two", share(1234))
    assert [one["label"] for one in found["top"]][:2] == ["two", "<b>three</b>"]


def test_several_images_are_answered_in_their_order(client):
    response = post(client, *(picture(label, 7) for label in (2, 0, 1)), params={"top": 2})
    found = response.json()["predictions"]
    assert [one["label"] for one in found] == ["two", "zero", "one"]
    assert {len(one["top"]) for one in found} == {2}


def test_a_bad_image_beside_good_ones_fails_alone(client):
    found = post(client, picture(1), b"no image", picture(2)).json()["predictions"]
    assert [one.get("label") for one in found] == ["one", None, "two"]
    assert found[1] == {
        "image": "1.png",
        "error": "Cannot read 1.png: its content is not that of a JPEG, PNG, WEBP, GIF, BMP or TIFF image.",
    }


@pytest.mark.parametrize("accept", ["text/plain;version=x", "application/openmetrics-text;version=1.x", ";", "\xe4"])
def test_metrics_are_text_for_whoever_accepts_nonsense(client, accept):
    response = client.get("/metrics", headers={"Accept": accept.encode("latin-1")})
    assert response.status_code == 200
    assert "kcnn_ready 1.0" in response.text


@pytest.mark.parametrize(("most", "seconds"), [(1, 0.01), (8, 0.1)])
def test_many_at_once_get_their_own_answers(most, seconds):
    """While a batch of 8 is answered the next ones come, also from a client on a busy machine."""
    model = Known(seconds=seconds)

    async def ask(client, number):
        label = number % 4
        response = await client.post(
            "/v1/predict", content=picture(label, number), headers={"Content-Type": "image/png"}
        )
        (found,) = response.json()["predictions"]
        return found["label"] == model.class_names[label] and found["probability"] == share(number)

    async def main(address):
        limits = httpx.Limits(max_connections=32)
        async with httpx.AsyncClient(base_url=address, limits=limits, timeout=60) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(200)))

    with serving(model, most=most, limits=Limits(waiting=200)) as (address, _):
        model.sizes.clear()
        assert all(asyncio.run(main(address)))
    assert sum(model.sizes) == 200
    assert max(model.sizes) <= most
    assert most == 1 or np.mean(model.sizes) > 1.5


def test_an_explanation_shows_its_class_where_it_is(client):
    response = post(client, encoded(Image.new("RGB", (30, 10), (2, 0, 9))), path="/v1/explain")
    found = response.json()
    assert (found["label"], found["predicted"], found["method"]) == ("two", "two", "grad_cam")
    assert found["region"] == pytest.approx({"left": 1 / 3, "top": 0, "width": 1 / 3, "height": 1})
    heat = np.asarray(opened(base64.b64decode(found["heatmap"].partition(",")[2])))
    assert heat.shape == (256, 256, 4)
    assert np.unravel_index(heat[..., 3].argmax(), (256, 256)) == pytest.approx((80, 80), abs=17)


def opened(png):
    return Image.open(io.BytesIO(png))


def test_an_explanation_can_be_of_another_class_and_a_picture(client):
    found = post(client, picture(2), path="/v1/explain", params={"class": "<b>three</b>"}).json()
    assert (found["label"], found["predicted"]) == ("<b>three</b>", "two")
    response = post(client, picture(2), path="/v1/explain", headers={"Accept": "image/png"})
    assert response.headers["content-type"] == "image/png"
    assert opened(response.content).size == (256, 256)


def test_the_model_is_described(client):
    found = client.get("/v1/model").json()
    assert found["classes"] == Known.class_names
    assert found["input"] == {"height": 8, "width": 8, "channels": 3, "resize": "crop"}
    assert found["limits"] == {"body": 20_000, "images": 3, "pixels": 10_000, "waiting": 12, "seconds": 10.0}


# ---------------------------------------------------------------- what is told about it


def test_metrics_can_be_scraped_and_have_bounded_labels(client):
    post(client, picture(1), picture(2))
    client.get("/no/such/path")
    client.request("BREW", "/healthz")
    for accept in ("text/plain", "application/openmetrics-text; version=1.0.0"):
        response = client.get("/metrics", headers={"Accept": accept})
        assert response.headers["content-type"].startswith(accept.partition(";")[0])
    families = {family.name: family for family in text_string_to_metric_families(client.get("/metrics").text)}
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    routes = {sample.labels["route"] for sample in families["kcnn_requests"].samples}
    assert {"/v1/predict", "/healthz", "other"} <= routes
    assert not any("no/such" in route for route in routes)
    assert "BREW" not in {
        sample.labels["method"] for sample in families["kcnn_requests"].samples if "method" in sample.labels
    }
    assert samples[("kcnn_ready",)] == 1
    assert samples[("kcnn_batch_images_sum",)] >= 2
    assert samples[("kcnn_images_total", ("outcome", "read"))] >= 2
    assert samples[("kcnn_waiting_images",)] == 0
    assert ("kcnn_model_info", ("name", "known"), ("runtime", "NumPy")) in samples
    assert samples[("kcnn_request_seconds_count", ("route", "/v1/predict"))] >= 1


def test_the_interface_is_a_valid_document(client):
    document = client.get("/openapi.json").json()
    OpenAPI.model_validate(document)
    assert set(document["paths"]) == {"/v1/predict", "/v1/explain", "/v1/model", "/healthz", "/readyz", "/metrics"}
    references = [part.partition('"')[0] for part in json.dumps(document).split('"#/components/schemas/')[1:]]
    assert set(references) <= set(document["components"]["schemas"])
    kinds = set(document["paths"]["/v1/predict"]["post"]["requestBody"]["content"])
    assert kinds == {"multipart/form-data", "application/json", "image/*", "application/octet-stream"}


def test_answers_are_what_the_interface_says(client):
    document = client.get("/openapi.json").json()
    for name, answer in {
        "Predictions": post(client, picture(1), b"x").json(),
        "Explanation": post(client, picture(1), path="/v1/explain").json(),
        "Model": client.get("/v1/model").json(),
        "Problem": client.get("/nowhere").json(),
    }.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer)
        assert set(answer) == set(document["components"]["schemas"][name]["properties"])


@pytest.mark.parametrize("path", ["/", "/docs", "/v1/model", "/nowhere", "/metrics"])
def test_browsers_are_told_what_they_may_do(client, path):
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


def test_readiness_begins_with_a_warm_model_and_ends_with_the_stop():
    model = Known()
    model.gate.clear()
    with serving(model, shut=True) as (address, service), httpx.Client(base_url=address) as client:
        response = client.get("/readyz")
        assert (response.status_code, response.json()) == (503, {"status": "warming up"})
        assert client.get("/healthz").status_code == 200
        model.gate.set()
        until(service.warm.is_set)
        assert client.get("/readyz").status_code == 200
        service.stopping = True
        response = client.get("/readyz")
        assert (response.status_code, response.json()) == (503, {"status": "stopping"})
        assert response.headers["connection"] == "close"
    assert set(model.sizes) == {1, 2, 4, 8}
