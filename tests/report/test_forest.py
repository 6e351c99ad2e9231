"""The figure of claims."""

import textwrap

from medgrid.report.figures.claims import labels


def test_labels_of_claims_leave_out_what_all_begin_with_but_no_setting_s_name():
    def parts(texts: list[str]) -> list[dict]:
        return [{"what": text} for text in texts]

    of = " (cross_entropy, scheduler step, step size 10, learning rate 0.001)"
    gaps = [f"training less validation accuracy of resnet50, learning rate {rate} below 1 point" for rate in (0.1, 1)]
    pairs = [f"batch size {size} above batch size 64{of}" for size in (32, 128)]
    assert labels(parts(pairs)) == [textwrap.fill(text, 62) for text in pairs]
    assert labels(parts(gaps)) == [f"… resnet50, learning rate {rate} below 1 point" for rate in (0.1, 1)]
    assert labels(parts(gaps[:1])) == [textwrap.fill(gaps[0], 62)]  # nothing to tell apart
