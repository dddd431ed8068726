from __future__ import annotations

import json
import math
import os
import stat
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from ir_shared.console import UserError
from ir_shared.run_dir import RunDir, atomic_write, hash_file, provenance, read_json, to_jsonable, versions, write_json


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path):
    path = tmp_path / "f"
    atomic_write(path, "old")
    with pytest.raises(TypeError):
        atomic_write(path, 3)  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_readers_see_old_or_new_and_nothing_between(tmp_path):
    path = tmp_path / "f"
    contents = ["a" * 100_000, "b" * 100_000]
    atomic_write(path, contents[0])
    seen = set()
    done = threading.Event()

    def read():
        while not done.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(50):
        atomic_write(path, contents[i % 2])
    done.set()
    reader.join()
    assert seen <= set(contents)


def test_written_files_are_as_readable_as_others(tmp_path):
    (tmp_path / "other").touch()
    atomic_write(tmp_path / "f", b"x")
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_what_is_no_ordinary_file_is_written_to_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE)
    atomic_write(tmp_path / "pipe", "through")
    assert reader.communicate(timeout=10)[0] == b"through"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    (tmp_path / "link").symlink_to("real")
    atomic_write(tmp_path / "link", "kept")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "kept"


def test_an_unwritable_place_is_the_users_to_mend(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="choose another place"):
        atomic_write(tmp_path / "file" / "f", "x")


def test_json_holds_what_results_are_made_of(tmp_path):
    @dataclass
    class Point:
        x: float
        at: Path

    document = {
        "p": Point(math.nan, Path("a/b")),
        "n": np.float32(0.5),
        "a": np.arange(3),
        "s": {2, 1},
        "i": math.inf,
        3: (),
    }
    write_json(tmp_path / "d.json", document)
    held = {"p": {"x": None, "at": "a/b"}, "n": 0.5, "a": [0, 1, 2], "s": [1, 2], "i": None, "3": []}
    assert read_json(tmp_path / "d.json") == held
    assert to_jsonable(document) == held


def test_what_is_no_json_is_named_with_its_line(tmp_path):
    (tmp_path / "d.json").write_text('{\n"a": nonsense}')
    with pytest.raises(UserError, match=r"d\.json:2: not JSON"):
        read_json(tmp_path / "d.json")


def test_provenance_is_the_same_for_the_same_inputs(tmp_path):
    (tmp_path / "in").write_text("x")
    block = provenance("ir-shared", inputs={"qrels": tmp_path / "in"}, seed=3)
    assert block == provenance("ir-shared", inputs={"qrels": tmp_path / "in"}, seed=3)
    assert block["inputs"]["qrels"] == hash_file(tmp_path / "in")
    assert block["versions"]["numpy"] == np.__version__
    assert "ir-shared" not in versions("ir-shared")


def test_a_run_goes_on_after_a_crash_in_the_middle_of_a_line(tmp_path):
    asked = {"arguments": {"k": 10}, "seed": 1}
    run = RunDir(tmp_path / "r", "ir-shared", **asked)
    assert not run.resumed
    run.log(step=1, loss=math.nan)
    with (tmp_path / "r" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    again = RunDir(tmp_path / "r", "ir-shared", **asked)
    assert again.resumed
    again.log(step=2)
    assert list(again.metrics()) == [{"step": 1, "loss": None}, {"step": 2}]


def test_a_run_with_other_arguments_is_not_mixed_in(tmp_path):
    RunDir(tmp_path, "ir-shared", arguments={"k": 10})
    with pytest.raises(UserError, match="other arguments"):
        RunDir(tmp_path, "ir-shared", arguments={"k": 20})
    assert json.loads((tmp_path / "manifest.json").read_text())["arguments"] == {"k": 10}


def test_changed_inputs_are_not_mixed_in(tmp_path):
    for name, text in (("a", "1"), ("folder/b", "2")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    inputs = {"a": tmp_path / "a", "folder": tmp_path / "folder"}
    RunDir(tmp_path / "r", "ir-shared", arguments={}, inputs=inputs)
    (tmp_path / "folder" / "b").write_text("3")
    with pytest.raises(UserError, match="other inputs"):
        RunDir(tmp_path / "r", "ir-shared", arguments={}, inputs=inputs)
