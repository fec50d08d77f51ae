"""Reliability diagrams as a small SVG: how often answers of a confidence are right. Pure."""

from collections.abc import Sequence

from pockethive.inference.evaluation import Measured

_SIDE, _GAP, _LEFT, _TOP = 180, 70, 60, 60
_ACROSS = 3


def draw(title: str, results: Sequence[Measured]) -> str:
    """A square per primitive: on the diagonal confidence is what it says; a circle's area is how
    many answers had it.
    """
    rows = -(-len(results) // _ACROSS)
    width = _LEFT + _ACROSS * (_SIDE + _GAP)
    height = _TOP + rows * (_SIDE + _GAP) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{_LEFT}" y="20">{_plain(title)}</text>',
    ]
    for number, result in enumerate(results):
        down, across = divmod(number, _ACROSS)
        parts += _square(result, _LEFT + across * (_SIDE + _GAP), _TOP + down * (_SIDE + _GAP))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _square(result: Measured, x: int, y: int) -> list[str]:
    name = f"{result.primitive}: ECE {result.ece:.3f}, {result.items} items"
    parts = [
        f'<text x="{x}" y="{y - 8}">{_plain(name)}</text>',
        f'<rect x="{x}" y="{y}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#999"/>',
        f'<path d="M{x} {y + _SIDE}L{x + _SIDE} {y}" stroke="#bbb"/>',
        f'<text x="{x + _SIDE / 2:.0f}" y="{y + _SIDE + 32}" text-anchor="middle">'
        "confidence</text>",
    ]
    for share in (0.0, 0.5, 1.0):
        at, up = x + share * _SIDE, y + (1 - share) * _SIDE
        parts += [
            f'<text x="{at:.0f}" y="{y + _SIDE + 16}" text-anchor="middle">{share:.1f}</text>',
            f'<text x="{x - 6}" y="{up + 4:.0f}" text-anchor="end">{share:.0%}</text>',
        ]
    for each in result.bins:
        if each.count:
            radius = 2 + 14 * (each.count / result.items) ** 0.5
            parts.append(
                f'<circle cx="{x + each.confidence * _SIDE:.1f}" '
                f'cy="{y + (1 - each.right) * _SIDE:.1f}" r="{radius:.1f}" '
                'fill="#1660a8" fill-opacity="0.6"/>'
            )
    return parts


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
