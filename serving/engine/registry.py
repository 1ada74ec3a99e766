"""Finds models by name, version and label, and loads new versions while serving.

The base folder is polled. A new version is loaded and warmed up in a worker thread
while the old one serves; then the new one replaces it between two requests. A
request keeps the version that it started with, so no request fails.
"""

import asyncio
import gc
import logging
import weakref
from collections.abc import Sequence
from pathlib import Path

from rejoinder.errors import UserError
from rejoinder.models.saved_model.publish import versions as published_versions
from rejoinder.serving.engine.model import Model, VersionState
from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.errors import Code, ServingError, invalid
from rejoinder.serving.limits import Limits
from rejoinder.serving.metrics import Metrics
from rejoinder.serving.model_options import ModelOptions

logger = logging.getLogger("rejoinder.serving")
_NEW = VersionState("START")


class Registry:
    """All served models. Lookups take no lock: one event loop owns the registry."""

    def __init__(self, models: Sequence[ModelOptions], limits: Limits, metrics: Metrics):
        self._models = {options.name: Model(options) for options in models}
        self._limits = limits
        self._metrics = metrics

    @property
    def names(self) -> list[str]:
        """Names of the served models."""
        return list(self._models)

    def model(self, name: str) -> Model:
        """Returns the model of a name.

        Raises:
            ServingError: 404, because no model has this name.
        """
        try:
            return self._models[name]
        except KeyError:
            message = f"Could not find any versions of model {name}"
            raise ServingError(Code.NOT_FOUND, message) from None

    def version(
        self, name: str, number: int | None = None, label: str | None = None
    ) -> ModelVersion:
        """Returns the version that a request names, the newest one if it names none.

        Raises:
            ServingError: The model, version or label is unknown; the messages are
                TensorFlow Serving's.
        """
        model = self._models.get(name)
        if label is not None:
            if model is None or label not in model.options.labels:
                raise invalid(f"Unrecognized servable version label: {label}")
            number = model.options.labels[label]
        if model is not None and number is None:
            return model.newest
        if model is not None and number in model.versions:
            return model.versions[number]
        wanted = f"Latest({name})" if number is None else f"Specific({name}, {number})"
        raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {wanted}")

    async def load_all(self) -> None:
        """Loads the versions that are present at the start.

        Raises:
            UserError: No version of a model can be loaded, or a labelled version cannot.
        """
        for name, model in self._models.items():
            await self._refresh(model)
            if not model.versions:
                errors = [state.error for state in model.states.values() if state.error]
                raise UserError("; ".join(errors) or f"{model.options.base}: holds no version")
            for label, number in model.options.labels.items():
                if number not in model.versions:
                    raise UserError(f"label {label} of model {name}: version {number} did not load")

    async def poll(self, seconds: float) -> None:
        """Looks for new versions every `seconds`, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            for name, model in self._models.items():
                try:
                    await self._refresh(model)
                except OSError as error:
                    logger.warning("model %s: cannot look for new versions: %s", name, error)

    async def _refresh(self, model: Model) -> None:
        keep, labels = model.options.keep, model.options.labels
        present = await asyncio.to_thread(published_versions, model.options.base)
        wanted = present if keep is None else present[-keep:]
        wanted = sorted({*wanted, *(number for number in labels.values() if number in present)})
        for number in wanted:
            if number not in model.versions and not model.states.get(number, _NEW).error:
                await self._load(model, number)
        # Unload only after all wanted versions are loaded, and never when the folder is empty.
        if wanted and all(number in model.versions for number in wanted):
            for number in [number for number in model.versions if number not in wanted]:
                self._unload(model, number)

    async def _load(self, model: Model, number: int) -> None:
        name, folder = model.options.name, model.options.base / str(number)
        state = model.states[number] = VersionState("LOADING")
        try:
            version = await asyncio.to_thread(
                _load_and_warm_up, folder, self._limits.max_batch_tokens
            )
        except Exception as error:
            state.state = "END"
            state.error = str(error) if isinstance(error, UserError) else f"{folder}: cannot load"
            logger.error("model %s version %d: cannot load: %s", name, number, error)
            return
        _freeze_objects()
        model.versions[number] = version
        state.state = "AVAILABLE"
        self._metrics.version.labels(name).set(max(model.versions))
        logger.info("model %s version %d: loaded", name, number)

    def _unload(self, model: Model, number: int) -> None:
        version = model.versions.pop(number)
        state = model.states[number]
        state.state = "UNLOADING"
        # Requests that started with this version still hold it.
        weakref.finalize(version, setattr, state, "state", "END")
        logger.info("model %s version %d: unloaded", model.options.name, number)


def _load_and_warm_up(folder: Path, full_tokens: int) -> ModelVersion:
    version = ModelVersion(folder)
    seconds = version.warm_up(full_tokens)
    logger.info("%s: warmed up in %.1f s", folder, seconds)
    return version


def _freeze_objects() -> None:
    """Takes all present objects out of the garbage collector's generations.

    A loaded model is hundreds of thousands of objects that live as long as the server,
    and each full collection would stop all requests for 0.2 to 0.4 s to visit them.
    """
    gc.unfreeze()  # of a version that has been unloaded since
    gc.collect()
    gc.freeze()
