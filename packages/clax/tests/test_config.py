from __future__ import annotations

from dataclasses import asdict, replace

import pytest
from clax.config import DataSettings, FitConfig, TrainSettings, from_mapping, read_config
from ir_shared.console import UserError
from ir_shared.run_dir import to_jsonable


def read(tmp_path, text):
    (tmp_path / "fit.toml").write_text(text)
    return read_config(tmp_path / "fit.toml")


def test_an_empty_file_is_the_defaults(tmp_path):
    assert read(tmp_path, "") == FitConfig()


def test_every_kind_of_value(tmp_path):
    config = read(
        tmp_path,
        """
        model = "pbm+dbn"
        method = "gradient"
        [data]
        train = ["a.parquet", "b/*.parquet"]
        split = [0.5, 0.25, 0.25]
        window = [0, 100]
        clip_to_unknown = true
        columns = { clicks = "clicked", positions = "" }
        [pairs]
        kind = "deep-cross"
        hidden = [8]
        [train]
        lr = 1
        """,
    )
    data = DataSettings(
        ("a.parquet", "b/*.parquet"),
        split=(0.5, 0.25, 0.25),
        window=(0, 100),
        clip_to_unknown=True,
        columns={"clicks": "clicked", "positions": ""},
    )
    assert config.data == data
    assert config.pairs.hidden == (8,)
    assert config.train == TrainSettings(lr=1.0)
    assert isinstance(config.train.lr, float)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle = 'dbn'", "unknown key 'modle'; known here are model, method"),
        ("[train]\nlearning_rate = 1", "unknown key 'train.learning_rate'"),
        ("[optimizer]\nlr = 1", "unknown key 'optimizer'"),
        ("method = 'mcmc'", "method = 'mcmc'; choose one of gradient, em"),
        ("seed = 'zero'", "seed = 'zero' is not of the right type, int"),
        ("seed = true", "seed = True is not of the right type"),
        ("train = 3", "train = 3 is not of the right type"),
        ("[train]\nepochs = 1.5", r"train.epochs = 1.5 is not of the right type"),
        ("[data]\ntrain = 'a'", "data.train = 'a' is not of the right type"),
        ("[data]\nsplit = [0.5, 0.5]", "data.split = .* is not of the right type"),
        ("[data]\ntrain = [1]", r"data.train\[0\] = 1 is not of the right type"),
        ("model = ", "cannot be read as TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, message):
    with pytest.raises(UserError, match=rf"fit\.toml: .*{message}"):
        read(tmp_path, text)


def test_a_list_is_called_a_list(tmp_path):
    file = tmp_path / "fit.toml"
    for text, words in (('[data]\ntrain = "x"', "a list of str"), ("[data]\nsplit = [1.0]", "a list of 3 float")):
        file.write_text(text)
        with pytest.raises(UserError, match=words):
            read_config(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_config(tmp_path / "none.toml")


def test_a_configuration_survives_json():
    config = replace(FitConfig("ubm"), data=DataSettings(("x",), window=(3, 4), columns={"mask": "m"}))
    assert from_mapping(FitConfig, to_jsonable(asdict(config)), "model.json") == config
