"""Replaces what differs between two runs: ports, times, minor versions and commits."""

import re

COLORS = r"(?:\x1b\[[\d;]*m)*"


def plain(text):
    """Without colors."""
    return re.sub(COLORS, "", text)


def fixed(text):
    """The same text on every machine and at every hour. It may have colors."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:5432", text)
    text = re.sub(r"(PostgreSQL 18)\.\d+", r"\1", text)
    text = re.sub(r"(\bmain \()[0-9a-f]{12}\)", r"\g<1>0123456789ab)", text)
    # Whether a reader came in that moment is chance.
    text = re.sub(r"^ +unreadable: for [\w.]+s\n", "", text, flags=re.MULTILINE)
    text = re.sub(rf"^({COLORS}[✓✗] \w+: .* in) [\w.]+s({COLORS})$", r"\1 12.3s\2", text, flags=re.MULTILINE)
    text = re.sub(r"(no checks in) [\w.]+s$", r"\1 12ms", text, flags=re.MULTILINE)
    parts = lambda line: "· 12.3s" + re.sub(r"\d[\w. ]*s(?=,|$)", "1.2s", line[1] or "")
    return re.sub(r"· \d[\w. ]*s(: .*)?$", parts, text, flags=re.MULTILINE)
