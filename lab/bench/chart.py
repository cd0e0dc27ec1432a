#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""The chart of docs/performance.md, from its first table:  chart.py >docs/performance.svg

Instructions per packet of an IPv4 TCP request and of its reply, without the wire.
"""
import html
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHOWN = ('stock IPVS NAT + conntrack + masquerade', 'nft DNAT + masquerade', 'FULLNAT, slow path',
         'stock IPVS NAT', 'nft DNAT + masquerade, flowtable', 'FULLNAT, fast path')
WIRE = 'wire (nft fwd at ingress)'
COLOURS = {'request': '#3465a4', 'reply': '#8ab0d9'}
LEFT, WIDTH, BAR, GAP, TOP_SPACE = 290, 520, 14, 12, 48


def first_table(path):
    """Title and rows ({name: [numbers]}) of the first table."""
    rows, title = {}, ''
    with open(path, encoding='utf-8') as file:
        for line in file:
            cells = [cell.strip() for cell in line.strip().strip('|').split('|')]
            if not title and re.match(r'\| [\d.]+-\S+, 1 flow ', line):
                title = cells[0]
            elif title and cells[1:] and all(cell.isdigit() for cell in cells[1:]):
                rows[cells[0]] = [int(cell) for cell in cells[1:]]
            elif title and not line.strip():
                return title, rows
    sys.exit(f'{path}: no table of one flow')


def text(x, y, words, anchor='start', size=12):
    """Words at a place."""
    return (f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}">'
            f'{html.escape(words)}</text>')


def bars(name, y, costs, most):
    """The two bars of a way, and their numbers."""
    yield text(LEFT - 8, y + BAR + 4, name, 'end')
    for index, (what, cost) in enumerate(zip(COLOURS, costs)):
        length, top = round(WIDTH * cost / most), y + index * BAR
        yield (f'<rect x="{LEFT}" y="{top}" width="{length}" height="{BAR - 1}" '
               f'fill="{COLOURS[what]}"/>')
        yield text(LEFT + length + 4, top + BAR - 3, str(cost), size=11)


def chart(title, rows):
    """The whole picture."""
    costs = {name: [cost - wire for cost, wire in zip(rows[name][:2], rows[WIRE][:2])]
             for name in SHOWN}
    most = max(max(pair) for pair in costs.values())
    step = 2 * BAR + GAP
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 60}" '
           f'height="{TOP_SPACE + step * len(SHOWN)}" font-family="sans-serif">')
    yield '<rect width="100%" height="100%" fill="white"/>'
    yield text(8, 18, f'Instructions per packet, TCP over IPv4, wire taken off ({title})', size=14)
    for index, (what, colour) in enumerate(COLOURS.items()):
        yield f'<rect x="{LEFT + 90 * index}" y="27" width="10" height="10" fill="{colour}"/>'
        yield text(LEFT + 90 * index + 14, 36, what, size=11)
    for index, name in enumerate(SHOWN):
        yield from bars(name, TOP_SPACE + step * index, costs[name], most)
    yield '</svg>'


if __name__ == '__main__':
    print('\n'.join(chart(*first_table(os.path.join(TOP, 'docs/performance.md')))))
