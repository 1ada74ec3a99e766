"""Finds models by name, version and label, and loads new versions while serving.

The base folder is polled. A new version is loaded and warmed up in a worker thread
while the old one serves; then the new one replaces it between two requests. A
request keeps the version that it started with, so no request fails.

A version whose files are not all there is still being copied, and waited for. One that
failed is tried again when its files have changed and then stayed the same for one poll.
"""

import asyncio
import gc
import logging
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

from rejoinder import storage
from rejoinder.errors import UserError
from rejoinder.models.saved_model.manifest import ExportManifest
from rejoinder.models.saved_model.publish import versions as published_versions
from rejoinder.serving.engine.model import Model, VersionState
from rejoinder.serving.engine.model_version import ModelVersion
from rejoinder.serving.engine.version_files import (
    IncompleteVersionError,
    TransferError,
    check_complete,
    check_unchanged,
    fetch,
    remove_copy,
)
from rejoinder.serving.engine_options import EngineOptions
from rejoinder.serving.errors import Code, ServingError, invalid
from rejoinder.serving.limits import Limits
from rejoinder.serving.metrics import Metrics
from rejoinder.serving.model_options import ModelOptions
from rejoinder.units import format_bytes

logger = logging.getLogger("rejoinder.serving")
# Seconds until a bucket that could not be read is tried again, at first and at most.
_RETRY_SECONDS = (2.0, 300.0)


class Registry:
    """All served models. Lookups take no lock: one event loop owns the registry."""

    def __init__(
        self,
        models: Sequence[ModelOptions],
        limits: Limits,
        metrics: Metrics,
        engine: EngineOptions | None = None,
    ):
        self._models = {options.name: Model(options) for options in models}
        self._limits = limits
        self._metrics = metrics
        self._engine = engine or EngineOptions()
        # What the last look at a model's folder failed with, so that it is logged once.
        self._troubles: dict[str, str] = {}

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
                raise UserError(_why_none(model))
            for label, number in model.options.labels.items():
                if number not in model.versions:
                    raise UserError(f"label {label} of model {name}: version {number} did not load")

    async def poll(self, seconds: float) -> None:
        """Looks for new versions every `seconds`, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await self.look()

    async def look(self) -> None:
        """Looks for new versions once; a folder that cannot be listed is logged."""
        for name, model in self._models.items():
            trouble = ""
            try:
                await self._refresh(model)
            except (OSError, UserError) as error:
                trouble = str(error)
            if trouble and trouble != self._troubles.get(name):
                logger.warning("model %s: cannot look for new versions: %s", name, trouble)
            self._troubles[name] = trouble

    async def _refresh(self, model: Model) -> None:
        keep, labels = model.options.keep, model.options.labels
        present = await asyncio.to_thread(published_versions, model.options.base)
        wanted: list[int] = []
        for number in reversed(present):
            if len(wanted) == keep:
                break
            if await self._ensure_loaded(model, number):
                wanted.append(number)
        for number in set(labels.values()).intersection(present).difference(wanted):
            if await self._ensure_loaded(model, number):
                wanted.append(number)
        # Unload only after the others are loaded, and never when the folder is empty.
        if wanted:
            for number in [number for number in model.versions if number not in wanted]:
                self._unload(model, number)

    async def _ensure_loaded(self, model: Model, number: int) -> bool:
        """Loads a version if it can be loaded, and not again before something has changed.

        Returns:
            Whether the version is loaded.
        """
        if number in model.versions:
            return True
        folder = storage.join(model.options.base, str(number))
        state = model.states.setdefault(number, VersionState())
        files = await asyncio.to_thread(storage.list_states, folder)
        is_settled, state.files = files == state.files, files
        if state.failed is not None:
            if files == state.failed:
                return False
            state.state, state.error = "START", ""
            if not is_settled:  # perhaps it is being copied once more
                return False
        if time.monotonic() < state.retry_at:
            return False
        try:
            manifest = await asyncio.to_thread(check_complete, folder, files)
        except IncompleteVersionError as error:
            if not state.waits_for:
                logger.info(
                    "model %s version %d: waiting for its files: %s",
                    *(model.options.name, number, error),
                )
            state.state, state.error, state.waits_for = "START", "", str(error)
            return False
        except UserError as error:
            self._fail(model, number, state, error)
            return False
        return await self._load(model, number, folder, manifest)

    async def _load(self, model: Model, number: int, folder: str, manifest: ExportManifest) -> bool:
        label, cache = f"model {model.options.name} version {number}", model.options.cache
        # A new one, because the finalizer of an unloaded version still sets the old one.
        old = model.states[number]
        state = model.states[number] = VersionState(
            "LOADING", files=old.files, failed=old.failed, retry_seconds=old.retry_seconds
        )
        size = sum(entry.size for entry in (state.files or {}).values())
        logger.info("%s: loading %s (%s)", label, folder, format_bytes(size))
        try:
            version = await asyncio.to_thread(
                _load_and_warm_up,
                label,
                folder,
                cache,
                manifest,
                self._limits.max_batch_tokens,
                self._engine,
            )
        except Exception as error:
            self._fail(model, number, state, error)
            return False
        _freeze_objects()
        model.versions[number] = version
        state.state, state.failed = "AVAILABLE", None
        self._metrics.version.labels(model.options.name).set(max(model.versions))
        return True

    def _fail(self, model: Model, number: int, state: VersionState, error: Exception) -> None:
        folder = storage.join(model.options.base, str(number))
        reason = str(error) if isinstance(error, UserError) else f"{folder}: cannot load"
        name = model.options.name
        if isinstance(error, TransferError):
            first, longest = _RETRY_SECONDS
            state.state = "START"
            state.retry_seconds = min(2 * state.retry_seconds or first, longest)
            state.retry_at = time.monotonic() + state.retry_seconds
            state.waits_for = reason
            logger.warning(
                "model %s version %d: %s; next attempt in %.0f s",
                *(name, number, reason, state.retry_seconds),
            )
            return
        state.state, state.error, state.failed = "END", reason, state.files
        # A library's message, which tells more than "cannot load", quotes no request here.
        cause = "" if isinstance(error, UserError) else f" ({type(error).__name__}: {error})"
        logger.error("model %s version %d: cannot load: %s%s", name, number, reason, cause)

    def _unload(self, model: Model, number: int) -> None:
        version = model.versions.pop(number)
        state = model.states[number]
        state.state = "UNLOADING"
        # Requests that started with this version still hold it.
        weakref.finalize(version, setattr, state, "state", "END")
        if not storage.is_local(model.options.base):
            remove_copy(storage.join(model.options.base, str(number)), model.options.cache)
        logger.info("model %s version %d: unloaded", model.options.name, number)


def _why_none(model: Model) -> str:
    """Returns why no version of a model is loaded."""
    states = sorted(model.states.items(), reverse=True)
    reasons = [state.error for _, state in states if state.error]
    waiting = [state.waits_for for _, state in states if state.waits_for and not state.error]
    reasons += [f"{reason}; is it still being copied?" for reason in waiting]
    return "; ".join(reasons) or f"{model.options.base}: holds no version"


def _load_and_warm_up(
    label: str,
    folder: str,
    cache: str,
    manifest: ExportManifest,
    full_tokens: int,
    engine: EngineOptions,
) -> ModelVersion:
    """Checks, loads and warms up a version; one in a bucket is copied to `cache` first."""
    start = time.monotonic()
    if storage.is_local(folder):
        local = Path(folder)
        check_unchanged(local, manifest)
    else:
        local = fetch(folder, cache, manifest)
        logger.info("%s: copied to %s in %.1f s", label, local, time.monotonic() - start)
    version = ModelVersion(local, engine)
    logger.info("%s: loaded in %.1f s", label, time.monotonic() - start)
    logger.info(
        "%s: %s in %s, cosine to the export in %s at least %.5f",
        label,
        engine.engine,
        version.precision,
        version.manifest.precision,
        version.cosine,
    )
    logger.info("%s: warmed up in %.1f s", label, version.warm_up(full_tokens))
    return version


def _freeze_objects() -> None:
    """Takes all present objects out of the garbage collector's generations.

    A loaded model is hundreds of thousands of objects that live as long as the server,
    and each full collection would stop all requests for 0.2 to 0.4 s to visit them.
    """
    gc.unfreeze()  # of a version that has been unloaded since
    gc.collect()
    gc.freeze()
