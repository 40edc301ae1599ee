"""The page of families: its table and its picture."""

import pytest

from benchmarks import families
from train import __main__ as training


@pytest.mark.slow
def test_a_table_and_a_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = ["--data.name", "digits", "--data.binarise", "threshold", "--samples", "0"]
    small = ["--steps", "30", "--model.hidden", "8"]
    assert training.main(["vae", *small, "--draws", "3", *data]) == 0
    assert training.main(["gan", *small, *data]) == 0
    capsys.readouterr()
    families.main(families.Options(("vae", "gan"), out=tmp_path / "f.png", num=20))
    head, _, vae, gan, _ = capsys.readouterr().out.splitlines()
    assert "seconds to draw 20" in head
    assert "| vae | VAE | bound | <= " in vae and "nats (bound, 3 draws)" in vae
    assert "| gan | GAN | none | no likelihood; critic loss" in gan
    assert (tmp_path / "f.png").stat().st_size > 1000
    with pytest.raises(ValueError, match="name at least one run"):
        families.main(families.Options(()))
