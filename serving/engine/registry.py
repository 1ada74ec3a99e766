"""Models by name, their versions and labels, and picking up new versions.

The base folder is polled. A new version is loaded and warmed in a worker thread
while the old one answers; then the two are swapped between two requests. A
request keeps the version it started with, so none is dropped.
"""

import asyncio
import logging
import weakref
from pathlib import Path

from rejoinder.errors import UserError
from rejoinder.models.saved_model.publish import versions as published_versions
from rejoinder.serving.engine.model import Model, VersionState
from rejoinder.serving.engine.model_version import LoadedVersion
from rejoinder.serving.errors import Code, ServingError, invalid
from rejoinder.serving.metrics import Metrics

logger = logging.getLogger("rejoinder.serving")


class Registry:
    """All served models. Lookups take no lock: one event loop owns the registry."""

    def __init__(self, models: list[Model], metrics: Metrics):
        self._models = {model.name: model for model in models}
        self._metrics = metrics

    @property
    def names(self) -> list[str]:
        """Names of the served models."""
        return list(self._models)

    def model(self, name: str) -> Model:
        """Returns a model; raises ServingError (404) if there is none of that name."""
        try:
            return self._models[name]
        except KeyError:
            message = f"Could not find any versions of model {name}"
            raise ServingError(Code.NOT_FOUND, message) from None

    def version(
        self, name: str, number: int | None = None, label: str | None = None
    ) -> LoadedVersion:
        """Returns the version that a request asks for, with TensorFlow Serving's errors."""
        model = self._models.get(name)
        if label is not None:
            if model is None or label not in model.labels:
                raise invalid(f"Unrecognized servable version label: {label}")
            number = model.labels[label]
        if model is not None and number is None:
            return model.newest
        if model is not None and number in model.loaded:
            return model.loaded[number]
        wanted = f"Latest({name})" if number is None else f"Specific({name}, {number})"
        raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {wanted}")

    async def load_all(self) -> None:
        """Loads what is there at start.

        Raises:
            UserError: a model has no version that loads, or a label names one that
                is not loaded.
        """
        for model in self._models.values():
            await self._refresh(model)
            if not model.loaded:
                errors = [state.error for state in model.states.values() if state.error]
                raise UserError("; ".join(errors) or f"{model.base}: holds no version")
            for label, number in model.labels.items():
                if number not in model.loaded:
                    raise UserError(
                        f"label {label} of model {model.name}: version {number} did not load"
                    )

    async def poll(self, seconds: float) -> None:
        """Looks for new versions every `seconds`, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            for model in self._models.values():
                try:
                    await self._refresh(model)
                except OSError as error:
                    logger.warning("model %s: cannot poll: %s", model.name, error)

    async def _refresh(self, model: Model) -> None:
        present = await asyncio.to_thread(published_versions, model.base)
        wanted = present if model.keep is None else present[-model.keep :]
        wanted = sorted({*wanted, *(n for n in model.labels.values() if n in present)})
        for number in wanted:
            if number not in model.loaded and not model.states.get(number, _NEW).error:
                await self._load(model, number)
        # Unload only once something newer answers; a base emptied by mistake keeps serving.
        failed = {number for number in wanted if number not in model.loaded}
        if wanted and not failed:
            for number in [number for number in model.loaded if number not in wanted]:
                self._unload(model, number)

    async def _load(self, model: Model, number: int) -> None:
        state = model.states[number] = VersionState("LOADING")
        folder = model.base / str(number)
        try:
            version = await asyncio.to_thread(_load_and_warm, folder)
        except Exception as error:
            state.state = "END"
            state.error = str(error) if isinstance(error, UserError) else f"{folder}: cannot load"
            logger.error("model %s version %d: cannot load: %s", model.name, number, error)
            return
        model.loaded[number] = version
        state.state = "AVAILABLE"
        self._metrics.version.labels(model.name).set(max(model.loaded))
        logger.info("model %s version %d: answers", model.name, number)

    def _unload(self, model: Model, number: int) -> None:
        version = model.loaded.pop(number)
        state = model.states[number]
        state.state = "UNLOADING"
        weakref.finalize(version, setattr, state, "state", "END")
        logger.info("model %s version %d: no longer answers", model.name, number)


_NEW = VersionState("START")


def _load_and_warm(folder: Path) -> LoadedVersion:
    version = LoadedVersion(folder)
    seconds = version.warm_up()
    logger.info("%s: warmed up in %.1f s", folder, seconds)
    return version
