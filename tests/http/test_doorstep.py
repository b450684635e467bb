"""How much nonsense a phone may send."""

from signalbox.http.doorstep import BadFrames


def test_frames_that_make_no_sense_count_for_a_minute() -> None:
    now_s = 0.0
    frames = BadFrames(3, lambda: now_s)
    assert [frames.one_more() for _ in range(2)] == [False, False]
    now_s = 59.9
    assert frames.one_more()
    now_s = 60.0  # The first two are forgotten.
    assert not frames.one_more()
    assert frames.one_more()
