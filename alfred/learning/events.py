"""What TensorBoard reads: one event file for each training, without doubled points and cheap to write."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self

import numpy as np

from alfred.data.files import require_file
from alfred.errors import StorageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.utils.tensorboard import SummaryWriter

_BINS = 40  # of a histogram
_PREFIX = "events.out.tfevents."

Layout = Mapping[str, Mapping[str, Sequence[Any]]]
"""Charts of the custom scalars tab by category and title: `["Multiline", expressions]` or `["Margin", tags]`."""


Arguments = ParamSpec("Arguments")


def _name_refusal(
    method: Callable[Concatenate[EventFile, Arguments], None],
) -> Callable[Concatenate[EventFile, Arguments], None]:
    """Have a method say which curves the disk refuses: TensorBoard, in a thread of its own, names no file."""

    @functools.wraps(method)
    def wrapped(self: EventFile, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(
                f"the curves in {self.folder} cannot be written ({error.strerror or error}); make room or give the "
                "rights, or choose another place"
            ) from error

    return wrapped


def hush_writers() -> None:
    """Keep TensorBoard's threads from printing a traceback for what `EventFile` tells on one line."""
    before = threading.excepthook

    def tell(found: threading.ExceptHookArgs) -> None:
        if not (isinstance(found.exc_value, OSError) and type(found.thread).__module__.startswith("tensorboard.")):
            before(found)

    threading.excepthook = tell


class EventFile:
    """The events of one training, or of one piece of text, in a folder that may hold those of other kinds.

    The file is opened by the first event. It takes the place of earlier files of its kind, unless `resume` was called
    before: then they stay, and readers pass over what they hold of later steps, which comes a second time.

    Args:
        folder: Where it stands; None writes nothing.
        kind: Ends its name, and says which earlier files it replaces.
    """

    def __init__(self, folder: Path | None, kind: str = "training") -> None:
        """Remember the place; nothing is opened or deleted yet."""
        self.folder, self._kind = folder, kind
        self._writer: SummaryWriter | None = None
        self._purge: int | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        if error is None:
            self.close()
            return
        with suppress(StorageError):  # there is a reason already
            self.close()

    @property
    def is_on(self) -> bool:
        """Whether anything is written."""
        return self.folder is not None

    def open_below(self, name: str) -> EventFile:
        """Return the event file of a training inside this one, in a folder of its own."""
        return EventFile(None if self.folder is None else self.folder / name, self._kind)

    def resume(self, step: int) -> None:
        """Go on after a number of steps: what earlier files hold of later ones does not count any more."""
        self._purge = step + 1

    @_name_refusal
    def add_scalars(self, scalars: Mapping[str, float], step: int = 0) -> None:
        """Write numbers by their tags; those that are not finite have no point."""
        points = {tag: float(value) for tag, value in scalars.items() if np.isfinite(value)}
        if points and (writer := self._open()):
            from tensorboard.compat.proto.summary_pb2 import Summary

            # One event for all of them: the writer takes one apiece, at the price of a gradient step for twenty.
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in points.items()]
            writer._get_file_writer().add_summary(Summary(value=values), step)  # type: ignore[no-untyped-call]

    @_name_refusal
    def add_histogram(self, tag: str, values: np.typing.NDArray[Any], step: int) -> None:
        """Write how values are distributed; those that are not finite are left out."""
        finite = np.asarray(values, dtype=np.float64).ravel()
        finite = finite[np.isfinite(finite)]
        if len(finite) and (writer := self._open()):
            # Its own thousand bins would take longer than the rest of a validation.
            writer.add_histogram(tag, finite, step, bins=_BINS)

    @_name_refusal
    def copy_histograms(self, folder: Path, kind: str = "training") -> None:
        """Take over the histograms of another training, those that a resumed one wrote again once."""
        found = {
            (value.tag, event.step): event.summary
            for path in sorted(folder.glob(f"{_PREFIX}*.{kind}"))
            for event in read_events(path)
            for value in event.summary.value
            if value.HasField("histo")
        }
        for (_, step), summary in found.items():
            if writer := self._open():
                writer._get_file_writer().add_summary(summary, step)  # type: ignore[no-untyped-call]

    @_name_refusal
    def add_text(self, tag: str, text: str) -> None:
        """Write a text in Markdown."""
        if writer := self._open():
            writer.add_text(tag, text)

    @_name_refusal
    def add_picture(self, tag: str, figure: Figure, step: int = 0) -> None:
        """Write a figure of matplotlib as a picture."""
        if writer := self._open():
            writer.add_figure(tag, figure, step)

    @_name_refusal
    def add_layout(self, layout: Layout) -> None:
        """Write what the custom scalars tab shows; equal layouts of several runs are shown once."""
        if writer := self._open():
            writer.add_custom_scalars(layout)

    def add_line(self, settings: Mapping[str, bool | int | float | str]) -> None:
        """Write a line of the hparams tab: settings by name; the metrics are scalars of the same run."""
        self._add_hparams(settings, (), range(1, 3))

    def add_columns(self, settings: Mapping[str, bool | int | float | str], metrics: Sequence[str]) -> None:
        """Say once, for all runs, which settings (each with an example) and scalars are columns of the hparams tab."""
        self._add_hparams(settings, metrics, range(1))

    @_name_refusal
    def _add_hparams(
        self, settings: Mapping[str, bool | int | float | str], metrics: Sequence[str], places: range
    ) -> None:
        """Write parts of what stands for hyperparameters: the columns, the beginning of a session, and its end."""
        if writer := self._open():
            from torch.utils.tensorboard import summary

            # `SummaryWriter.add_hparams` would open a file, and a run, of its own.
            parts = summary.hparams(dict(settings), dict.fromkeys(metrics, 0.0))  # type: ignore[no-untyped-call]
            for place in places:
                writer._get_file_writer().add_summary(parts[place])  # type: ignore[no-untyped-call]

    @_name_refusal
    def flush(self) -> None:
        """Put everything on disk: called before a checkpoint, so that what came before it outlives a kill."""
        if self._writer is not None:
            self._writer.flush()

    @_name_refusal
    def close(self) -> None:
        """Close the file, if it was opened."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def clear(self) -> None:
        """Delete earlier files of this kind."""
        if self.folder is not None:
            for path in self.folder.glob(f"{_PREFIX}*.{self._kind}"):
                path.unlink(missing_ok=True)

    def _open(self) -> SummaryWriter | None:
        if self._writer is None and self.folder is not None:
            from torch.utils.tensorboard import SummaryWriter  # half a second that most commands need not spend

            if self._purge is None:
                self.clear()
            suffix = f".{self._kind}"
            self._writer = SummaryWriter(str(self.folder), purge_step=self._purge, filename_suffix=suffix)
            self._purge = self._purge or 0  # opened again, it goes on
        return self._writer


def read_events(path: Path) -> Iterator[Any]:
    """Yield the events of a file as it holds them; it ends where a kill cut it off. One that is gone holds none."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    from tensorboard.compat import tf

    try:
        yield from LegacyEventFileLoader(str(require_file(path))).Load()
    except (OSError, tf.errors.NotFoundError):  # a training that was made again meanwhile has a file of its own
        return


def read_scalars(folder: Path, kind: str = "training") -> dict[str, dict[int, float]]:
    """Return the scalars of a training by tag and step; what a resumed training wrote again counts once."""
    found: dict[str, dict[int, float]] = {}
    for path in sorted(folder.glob(f"{_PREFIX}*.{kind}")):
        for event in read_events(path):
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def is_event_file(name: str) -> bool:
    """Return whether a file of this name holds events, ours or anybody's."""
    return "tfevents" in name
