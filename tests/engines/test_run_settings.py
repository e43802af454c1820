"""What a resumed run must share with the one that it continues."""

from ssl3d.engines.run_settings import differences, run_settings


def test_differences_name_each_setting_with_both_values():
    lines = differences({"seed": 0, "epochs": 2, "optimizer#lr": 0.1}, {"seed": 7, "epochs": 2, "loss": "x" * 100})
    assert lines[0] == "seed: 0 there, 7 here"
    assert lines[1] == "optimizer#lr: 0.1 there, absent here"
    assert lines[2].startswith("loss: absent there, xxx")
    assert len(lines) == 3


def test_nothing_is_compared_with_a_run_that_tells_nothing():
    assert differences({}, {"seed": 1}) == differences({"seed": 1}, {}) == []
    assert run_settings() == {}
