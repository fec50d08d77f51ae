"""A report as a small SVG: which share of the tasks was committed how long after its offer."""

from pockethive.sim_report import Report

_LEFT, _TOP, _WIDTH, _HEIGHT = 60, 40, 560, 240
_STEPS = 4


def draw(report: Report) -> str:
    """The picture. Tasks that were never committed keep the curve below 100 %."""
    longest = max(report.latencies, default=1.0) or 1.0
    points = [(0.0, 0.0)]
    for number, seconds in enumerate(report.latencies, start=1):
        points.append((seconds, number / report.tasks))
    line = " L".join(f"{_x(at, longest):.1f} {_y(share):.1f}" for at, share in points)
    title = f"{report.scenario}: {report.devices} devices, {report.tasks} tasks, seed {report.seed}"
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" width="660" height="340" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="660" height="340" fill="white"/>',
        f'<text x="{_LEFT}" y="24">{_plain(title)}</text>',
    ]
    for number in range(_STEPS + 1):
        share = number / _STEPS
        y, x = _y(share), _x(share * longest, longest)
        parts += [
            f'<path d="M{_LEFT} {y:.1f}h{_WIDTH}" stroke="#ddd"/>',
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>',
            f'<text x="{x:.1f}" y="{_TOP + _HEIGHT + 18}" text-anchor="middle">'
            f"{share * longest:.1f}</text>",
        ]
    parts += [
        f'<path d="M{line}" stroke="#1660a8" stroke-width="2" fill="none"/>',
        f'<text x="{_LEFT + _WIDTH / 2}" y="{_TOP + _HEIGHT + 42}" text-anchor="middle">'
        "virtual seconds from the first offer of a task to its commit</text>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _x(seconds: float, longest: float) -> float:
    return _LEFT + seconds / longest * _WIDTH


def _y(share: float) -> float:
    return _TOP + _HEIGHT - share * _HEIGHT
