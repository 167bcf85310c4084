"""The command that takes away each signal, feature and analyst in turn."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alfred.cli.options import Agent, AsJson, Plugins, Run, one_line_errors, prepare_process, print_json
from alfred.plugins import load_plugins

if TYPE_CHECKING:
    from alfred.evaluation.ablation import Ablation
    from alfred.evaluation.attribution import Attribution

_NOUNS = {"agent": "signal", "analyst": "input", "blend": "analyst"}


@one_line_errors
def ablate(
    path: Run,
    plugins: Plugins = None,
    agent: Agent = None,
    analyst: Annotated[
        list[str] | None,
        typer.Option(help="Ablate this analyst alone, without training or agents. Repeatable; `blend` is one."),
    ] = None,
    shifts: Annotated[int, typer.Option(help="Random shifts or permutations of each part.", min=1, max=100)] = 4,
    attribute: Annotated[
        bool, typer.Option("--attribute", help="Also share out the forecasts of networks and trees (extra: explain).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what is lost without each signal, each feature of an analyst, and each analyst of the blend.

    Every part is dropped (set to its missing value; an analyst of the blend is left out and the blend fitted again) and
    permuted, on the test of the run and without training anything again. All changes of one subject are judged as one
    family; what adds nothing is reported as no credible change. The table shows what is credible, and of every other
    part the change that comes nearest; ablation.json in the run (and --json) holds all.
    """
    from alfred.console import results, show_progress
    from alfred.data.files import write_atomically
    from alfred.training import pipeline
    from alfred.training.ablation.agents import ablate_agent
    from alfred.training.ablation.analysts import ablate_analyst, find_analyst
    from alfred.training.ablation.attribution import attribute_analyst
    from alfred.training.ablation.blend import ablate_blend
    from alfred.training.provenance.stages import compute_digest, digest_signals

    prepare_process()
    load_plugins(plugins or ())
    prepared = pipeline.reopen(path)
    blend = prepared.experiment.blend
    named = [name for name in analyst or () if blend is None or name != blend.label]
    chosen = [find_analyst(prepared, name) for name in named] if analyst else list(prepared.experiment.analysts)
    found: list[Ablation] = []
    shares: list[Attribution] = []
    with show_progress() as reporter:
        if analyst is None or agent is not None:
            trained = pipeline.load_trainings(prepared)
            found.append(ablate_agent(prepared, trained, agent, shifts=shifts, reporter=reporter))
        if analyst is None or len(named) < len(analyst):
            whole = ablate_blend(prepared, reporter)
            found += [] if whole is None else [whole]
        skipped = []
        for settings in chosen:
            one = ablate_analyst(prepared, settings, draws=shifts, reporter=reporter)
            if one is None:
                skipped.append(settings.label)
                continue
            found.append(one)
            shares += attribute_analyst(prepared, settings) if attribute else []
    facts = {
        "run": str(prepared.run.path),
        "made_from": compute_digest(prepared.experiment.to_yaml(), digest_signals(prepared.signals)),
        "ablations": [item.to_json() for item in found],
        "attributions": [item.to_json() for item in shares],
        "without_inputs": skipped,
    }
    text = json.dumps(_keep_others(prepared.run.ablation, facts), indent=2, allow_nan=False)
    write_atomically(prepared.run.ablation, lambda target: target.write_text(text, encoding="utf-8"))
    if as_json:
        print_json(facts)
        return
    for item in found:
        _print_ablation(item)
    _print_attributions(shares)
    if skipped:
        results.print(f"{', '.join(skipped)}: no inputs that could be taken away", highlight=False)


def _keep_others(path: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Return what is found now, and what an earlier call on the same run found that was not asked about now."""
    from alfred.data.files import read_json

    try:
        earlier = read_json(path)
        if earlier["made_from"] != facts["made_from"]:
            return facts
        asked = {item["subject"] for item in facts["ablations"]}
        kept = [item for item in earlier["ablations"] if item["subject"] not in asked]
        shares = [item for item in earlier["attributions"] if item["analyst"] not in asked]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return facts  # there is none, or it is damaged
    return {
        **facts,
        "ablations": [*facts["ablations"], *kept],
        "attributions": [*facts["attributions"], *shares],
    }


def _print_ablation(found: Ablation) -> None:
    from alfred.console import print_table, results
    from alfred.evaluation.formatting import format_difference, format_interval

    rows = []
    for part in found.parts:
        credible = [item for item in part.changes if item.credible]
        # What is nothing by all measures takes one line: that of the measure which says it least clearly.
        shown = credible or sorted(part.changes, key=lambda item: 2.0 if math.isnan(item.p) else item.p)[:1]
        rows += [
            (
                part.name,
                item.way,
                item.measure + (f" {item.horizon}" if item.horizon else ""),
                "none" if math.isnan(item.value) else format_difference(item.value),
                "none" if math.isnan(item.low) else format_interval(item.low, item.high),
                "none" if math.isnan(item.p) else f"{item.p:.3f}",
                item.verdict,
            )
            for item in shown
        ]
    if rows:
        headings = (_NOUNS[found.kind], "taken away", "measure", "worth", "interval", "p", "verdict")
        print_table(f"What {found.subject} owes to each {_NOUNS[found.kind]}", headings, rows)
    results.print(found.sentence, highlight=False)


def _print_attributions(shares: Sequence[Attribution]) -> None:
    from alfred.console import print_table, results

    for item in shares:
        total = sum(part.size for part in item.inputs) or 1.0
        ordered = sorted(item.inputs, key=lambda part: -part.size)
        rows = [
            (part.name, f"{part.size:.4f}", f"{100 * part.size / total:.0f} %", f"{part.mean:+.4f}") for part in ordered
        ]
        told = "add up" if item.adds_up else "DO NOT ADD UP"
        print_table(f"{item.analyst}, {item.horizon} ahead", ("input", "size", "share", "mean"), rows)
        results.print(
            f"{item.method}, {item.n_windows} windows: the parts {told}; the largest gap is {100 * item.gap:.2g} %",
            highlight=False,
        )
