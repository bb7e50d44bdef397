"""What was tried with other thresholds, as settings with comments, or as JSON."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime

from streams.tune import DAY, Report, Tuning


def settings_text(report: Report, per_day: float) -> str:
    """Write settings that give the wanted number of findings a day, below what else was tried."""
    begin, end = (datetime.fromtimestamp(each, UTC).strftime("%Y-%m-%d %H:%M") for each in (report.begin, report.end))
    lines = [
        f"# Tried on {begin} to {end} UTC ({length(report)}).",
        f"# > marks the sharpest thresholds that find at most {per_day:g} a day; x1 is in force.",
        "detectors:",
    ]
    for tuning in report.tunings:
        lines += ["", *_section(tuning, per_day)]
    return "\n".join(lines) + "\n"


def document(report: Report, per_day: float) -> str:
    """Write everything that was tried as a JSON document."""
    detectors = {
        tuning.kind: {
            "wanted": asdict(wanted) if (wanted := tuning.wanted(per_day)) is not None else None,
            "trials": [asdict(trial) for trial in tuning.trials],
        }
        for tuning in report.tunings
    }
    said = {"begin": report.begin, "end": report.end, "days": report.days, "per_day": per_day, "detectors": detectors}
    return json.dumps(said, indent=2) + "\n"


def length(report: Report) -> str:
    """Say how long the input is.

    >>> length(Report(0, 93_600, 0, ())), length(Report(0, 3_600, 0, ()))
    ('1 d 2 h 0 min', '1 h 0 min')
    """
    days, seconds = divmod(report.end - report.begin, DAY)
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    return f"{days} d " * (days > 0) + f"{hours} h {minutes} min"


def _section(tuning: Tuning, per_day: float) -> Iterator[str]:
    wanted = tuning.wanted(per_day)
    main = tuning.raised[0].name
    width = max(len(main), 12)
    yield f"  {tuning.kind}:"
    yield f"    # {'':8}{main:>{width}}  {'findings':>8}  {'a day':>7}  {'hosts':>6}"
    for trial in tuning.trials:
        mark = ">" if trial == wanted else " "
        value, a_day = f"{trial.values[main]:,.10g}", f"{trial.a_day:,.{0 if trial.a_day >= 100 else 1}f}"
        yield f"    # {mark} x{trial.times:<5g}{value:>{width}}  {trial.findings:>8,}  {a_day:>7}  {trial.hosts:>6,}"
    if wanted is None:
        yield f"    # Even x{tuning.trials[-1].times:g} finds more, so nothing is changed: look at what is found first."
    for each in tuning.raised:
        yield f"    {each.name}: {(wanted or tuning.in_force).values[each.name]:.10g}"
