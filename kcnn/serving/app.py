"""The routes."""

from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from kcnn import __version__
from kcnn.serving import documents, pages
from kcnn.serving.connected import while_connected
from kcnn.serving.explainer import QUICK
from kcnn.serving.guard import Guard
from kcnn.serving.key import keeper
from kcnn.serving.observed import Observed
from kcnn.serving.received import images_of
from kcnn.serving.refused import Refused

TOP = 5
PNG = "image/png"


def create_app(service, *, key=None):
    """Return the ASGI application of a `Service`.

    Args:
        service: What answers.
        key: What clients have to send; None asks for nothing.
    """
    app = FastAPI(
        title=f"kcnn: {service.served.name}",
        version=__version__,
        description="Names what images show, and shows what in them speaks for it.",
        lifespan=service.running,
        docs_url=None,  # theirs loads scripts from elsewhere
        redoc_url=None,
    )
    _add_errors(app, service)
    _add_model(app, service, Depends(keeper(key)))
    _add_health(app, service, Depends(keeper(key)))
    pages.add(app)
    app.add_middleware(Guard, limits=service.limits)
    return Observed(app, service)


def _add_model(app, service, guarded):
    @app.post(
        "/v1/predict",
        dependencies=[guarded],
        response_model=documents.Predictions,
        responses=documents.problems(400, 401, 408, 413, 415, 422, 503),
        response_description="An entry for each image.",
        openapi_extra=documents.body(many=True),
        summary="Name what one or more images show.",
    )
    async def predict(
        request: Request,
        top: Annotated[int, Query(ge=1, le=1000, description="How many labels an image.")] = TOP,
    ):
        received = await images_of(request, service.limits)
        return JSONResponse({"predictions": await while_connected(request, service.predict(received, top))})

    @app.post(
        "/v1/explain",
        dependencies=[guarded],
        response_model=documents.Explanation,
        responses=documents.problems(400, 401, 408, 413, 415, 422, 501, 503)
        | {200: {"description": "The heatmap; with Accept: image/png, drawn over the image.", "content": {PNG: {}}}},
        openapi_extra=documents.body(many=False),
        summary="Show what in an image speaks for a class.",
    )
    async def explain(
        request: Request,
        class_name: Annotated[
            str | None, Query(alias="class", max_length=1000, description="Default: the most probable one.")
        ] = None,
        method: Annotated[Literal[QUICK], Query(description="How.")] = QUICK[0],
    ):
        received = await images_of(request, service.limits)
        if len(received) > 1:
            raise Refused(413, "images", "One image at a time is explained. Send the others in requests of their own.")
        picture = request.headers.get("accept", "").partition(",")[0].strip() == PNG
        found = await while_connected(request, service.explain(received[0], class_name, method, picture=picture))
        return Response(found, media_type=PNG) if picture else JSONResponse(found)

    @app.get(
        "/v1/model",
        dependencies=[guarded],
        response_model=documents.Model,
        response_description="What is served.",
        responses=documents.problems(401),
        summary="Tell what answers, and within which limits.",
    )
    async def model():
        return JSONResponse(_model(service))


def _model(service):
    served = service.served
    height, width, channels = served.opened.image_shape
    return {
        "name": served.name,
        "runtime": served.runtime,
        "kcnn": __version__,
        "classes": served.opened.class_names,
        "input": {"height": height, "width": width, "channels": channels, "resize": served.opened.resize},
        "calibrated": served.calibrated,
        "explains": list(QUICK) if served.explainer else [],
        "no_explanation": served.no_explainer,
        "limits": vars(service.limits),
    }


def _add_health(app, service, guarded):
    @app.get("/healthz", summary="Answer while the process lives.", response_description="It lives.")
    async def healthz():
        return JSONResponse({"status": "alive"})

    @app.get(
        "/readyz",
        summary="Answer 200 once the model is warm, and until the server stops.",
        response_description="Ready.",
        responses={503: {"description": "Not now."}},
    )
    async def readyz():
        if service.ready:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "stopping" if service.stopping else "warming up"}, 503)

    @app.get(
        "/metrics",
        dependencies=[guarded],
        summary="Count for Prometheus.",
        response_class=Response,
        response_description="The counters, as text.",
        responses=documents.problems(401),
    )
    async def metrics(request: Request):
        text, kind = service.metrics.text(request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": kind})


def _add_errors(app, service):
    @app.exception_handler(HTTPException)
    async def refused(request, error):
        reason = error.reason if isinstance(error, Refused) else "form"
        service.metrics.rejected.labels(reason).inc()
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request, error):
        service.metrics.rejected.labels("form").inc()
        words = [f"{one['loc'][-1]}: {one['msg']}" for one in error.errors()]
        return JSONResponse({"error": f"A parameter is not valid. {'; '.join(words)}."}, 422)

    @app.exception_handler(ClientDisconnect)
    async def gone(request, error):
        return Response(status_code=499)  # nginx's number, for the metrics; nobody reads it

    @app.exception_handler(Exception)
    async def broken(request, error):
        return JSONResponse({"error": "This should not happen: the server's log says more."}, 500)
