"""docs/benchmarks.svg: how far every figure is from its target, at a glance."""

import math
from xml.sax.saxutils import escape

WIDTH, LABEL, BARS = 960, 400, 300     # of the picture, of its labels, of its bars: pixels
ROW, HEADING, TOP, BOTTOM = 18, 28, 64, 46
LOW, HIGH = 0.25, 4.0                              # ends of the scale, which is logarithmic
MET, MISSED, INK, FAINT = "#2a7f62", "#c8553d", "#222222", "#bbbbbb"


def _x(quotient):
    """Where on the scale, clipped at its ends."""
    share = (math.log(min(max(quotient, LOW), HIGH)) - math.log(LOW)) / (math.log(HIGH) - math.log(LOW))
    return LABEL + share * BARS


def _text(x, y, words, anchor="start", size=12, weight="normal", colour=INK):
    return (f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" '
            f'fill="{colour}">{escape(words)}</text>')


def _line(x, top, bottom, colour, width=1):
    return f'<line x1="{x:.0f}" y1="{top:.0f}" x2="{x:.0f}" y2="{bottom:.0f}" stroke="{colour}" stroke-width="{width}"/>'


def _bar(row, y):
    colour = MET if row.quotient >= 1 else MISSED
    figure = f"{row.ratio:.2f}" if row.ratio is not None and row.score == row.ratio else row.ours
    return [_text(LABEL - 8, y + 13, row.what, "end"),
            f'<rect x="{LABEL}" y="{y + 3:.0f}" width="{max(_x(row.quotient) - LABEL, 2):.0f}" height="{ROW - 5}" fill="{colour}"/>',
            _text(LABEL + BARS + 8, y + 13, f"{figure}  ({row.target})", colour=colour)]


def svg(tables, about):
    """One bar for each row that has a target; bars that reach the line meet it."""
    groups = [(heading, [row for row in rows if row.quotient is not None]) for heading, _, rows in tables]
    groups = [(heading, rows) for heading, rows in groups if rows]
    every = [row for _, rows in groups for row in rows]
    height = TOP + len(groups) * HEADING + len(every) * ROW + BOTTOM
    end = height - BOTTOM + 6
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
             'font-family="Helvetica, Arial, sans-serif">', f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
             _text(16, 26, f"podgraft: {sum(row.quotient >= 1 for row in every)} of {len(every)} targets met", size=17, weight="bold"),
             _text(16, 46, "A bar that reaches the line meets its target; longer is better, for times and sizes too.", colour="#555555")]
    for tick in (0.5, 1, 2):
        parts.append(_line(_x(tick), TOP - 4, end, INK if tick == 1 else FAINT, 2 if tick == 1 else 1))
        parts.append(_text(_x(tick), end + 14, "target" if tick == 1 else f"{tick:g} x", "middle", 11))
    y = TOP
    for heading, rows in groups:
        parts.append(_text(16, y + 20, heading, size=13, weight="bold"))
        y += HEADING
        for row in rows:
            parts += _bar(row, y)
            y += ROW
    parts.append(_text(16, height - 10, f"{about['date']}, {about['processor']}, podgraft {about['podgraft']}", size=10, colour="#555555"))
    return "\n".join([*parts, "</svg>"]) + "\n"
