# SPDX-License-Identifier: GPL-2.0
"""Tables in Markdown, as docs/performance.md has them, and what was recorded there."""
import os

DOCS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                    'docs/performance.md')


def row(name, cells):
    """A line of Markdown."""
    return f'| {name} | ' + ' | '.join(cells) + ' |'


class Table:
    """Numbers by row and column; `names` are the columns' titles, by column. Two measurements
    of the same differ by the share `repeatable` at most."""

    def __init__(self, title, names, repeatable):
        self.title = title
        self.names = names
        self.repeatable = repeatable
        self.rows = {}

    def __contains__(self, name):
        return name in self.rows

    def __getitem__(self, name):
        return self.rows[name]

    def header(self, title):
        """The first two lines of a table with these columns."""
        return '\n'.join([row(title, self.names.values()), '|---' * (len(self.names) + 1) + '|'])

    def show_header(self):
        """Begins it."""
        print(self.header(self.title), flush=True)

    def show(self, name, numbers):
        """A line that is no way of its own."""
        print(row(name, [f'{numbers[column]:.0f}' for column in self.names]), flush=True)

    def add(self, name, numbers):
        """A line of it, {column: number}."""
        self.rows[name] = numbers
        self.show(name, numbers)

    def show_quotients(self, title, base, zero=None):
        """Everything as a multiple of the row `base`, above the row `zero` if there is one."""
        print('\n' + self.header(title))
        low = self[zero] if zero else dict.fromkeys(self.names, 0)
        for name, found in self.rows.items():
            cells = [f'{(found[c] - low[c]) / (self[base][c] - low[c]):.2f}' for c in self.names]
            print(row(name, cells))

    def recorded(self):
        """{row: {column: number}} of the table of this title in docs/performance.md."""
        with open(DOCS, encoding='utf-8') as file:
            lines = file.read().splitlines()
        start = next((i for i, line in enumerate(lines) if line.startswith(f'| {self.title} |')),
                     len(lines))
        rows = {}
        for line in lines[start + 2:]:
            if not line.startswith('|'):
                break
            name, *cells = (cell.strip() for cell in line.strip('|').split('|'))
            rows[name] = dict(zip(self.names, map(float, cells)))
        return rows

    def compare(self):
        """With what docs/performance.md has. Returns if it is the same."""
        known = self.recorded()
        if not known:
            print(f'\ndocs/performance.md has no table "{self.title}"')
            return True
        good = True
        print(f'\n{self.title}: compared with docs/performance.md '
              f'({100 * self.repeatable:.1f} % allowed)')
        for name, found in self.rows.items():
            if name not in known:
                print(f'  {name}: not recorded')
                continue
            changes = [found[column] / known[name][column] - 1 for column in self.names]
            good &= abs(max(changes, key=abs)) <= self.repeatable
            print(f'  {name}: {100 * min(changes):+.2f} % to {100 * max(changes):+.2f} %')
        return good
