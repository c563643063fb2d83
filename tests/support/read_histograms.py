"""Reads a directory of histograms with HdrHistogram's Python port: the log, and the percentile
texts, each row of which is held to the log's histogram. Prints how many histograms there are.

The port's own percentile text has other rows than Java's (it does not round the number of
halvings down, and rounds ranks to the nearest), so ranks are compared, not texts."""
import math
import os
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

directory = sys.argv[1]
whole = HdrHistogram(1, 3600 * 10**9, 3)
reader = HistogramLogReader(os.path.join(directory, "delays.hlog"), whole)
seen = 0
while (histogram := reader.get_next_interval_histogram()) is not None:
    name = histogram.get_tag()
    with open(os.path.join(directory, name + ".hgrm"), encoding="ascii") as text:
        lines = text.read().splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"], lines[0]
    rows = [line.split() for line in lines[1:] if line.startswith(" ")]
    counts, total = {}, 0
    for item in histogram.get_recorded_iterator():
        total += item.count_at_value_iterated_to
        value = histogram.get_highest_equivalent_value(item.value_iterated_to)
        counts[round(value / 1000, 3)] = total
    for row in rows:
        value, quantile, count = float(row[0]), float(row[1]), int(row[2])
        assert counts[value] == count, (name, row)
        # The first value that so large a share does not exceed.
        before = max((n for v, n in counts.items() if v < value), default=0)
        assert count >= quantile * total * (1 - 1e-9), (name, row)
        assert quantile in (0, 1) or before < quantile * total * (1 + 1e-9), (name, row)
        if len(row) == 4:
            assert math.isclose(float(row[3]), 1 / (1 - quantile), rel_tol=0.01), (name, row)
    assert float(rows[-1][1]) == 1 and int(rows[-1][2]) == total == histogram.get_total_count()
    footer = " ".join(line for line in lines if line.startswith("#"))
    mean = float(footer.split("#[Mean    =")[1].split(",")[0])
    assert math.isclose(mean, histogram.get_mean_value() / 1000, rel_tol=0.001), (name, mean)
    whole.add(histogram)
    seen += 1
print(seen, whole.get_total_count())
