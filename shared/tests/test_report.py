from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from ir_shared.claims import Claim, Control, Criterion, Measurement, Verdict
from ir_shared.report import measured_text, summary_text, write
from ir_shared.reproduce.results import Result

CLAIM = Claim(
    name="c",
    statement="Less | is <more>.",
    paper=0.5,
    paper_note="table 1",
    unit="κ",
    criterion=Criterion.between(0.25, 1.0),
    measure=lambda context: Measurement(1.0, "x"),
    control=Control("nothing", lambda context: Measurement(0.0, "x")),
)
BLANK = Result.unmeasured("demo", "1.0", CLAIM, "quick", Verdict.NEEDS_DATA, "give --data")
DONE = replace(
    BLANK, measured=0.75, interval=(0.5, 0.9), verdict=Verdict.REPRODUCED, data="toy", details={"n": 1234}, note=""
)


class _Parser(HTMLParser):
    """Collects addresses, and checks that elements are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.stack: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in ("meta", "img", "br", "link"):
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def test_the_page_is_one_file_without_scripts(tmp_path):
    (tmp_path / "plot.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    shown = replace(DONE, figures=[{"path": "plot.svg", "caption": "A plot"}])
    page = write([shown, BLANK], tmp_path, scale="quick").read_text()
    parser = _Parser()
    parser.feed(page)
    assert parser.stack == []
    assert all(address.startswith(("data:", "#")) for address in parser.addresses)
    assert "<script" not in page


def test_what_a_claim_says_is_text_and_nothing_else(tmp_path):
    page = write([replace(DONE, unit="<b>", note="<i>")], tmp_path, scale="quick").read_text()
    assert "Less | is &lt;more&gt;." in page
    assert "<more>" not in page
    assert "<b>" not in re.sub(r"<b>\d", "", page).replace("<b>quick</b>", "")
    assert "| Less \\| is <more>. |" in (tmp_path / "report.md").read_text()


def test_figures_and_units_read_well():
    assert measured_text(DONE) == "0.75 [0.5, 0.9] κ"
    assert measured_text(replace(DONE, measured=1.5e-7, interval=None)) == "1.500e-07 κ"
    assert measured_text(replace(DONE, measured=1234567.0, interval=None, unit="rows")) == "1.235e+06 rows"
    assert measured_text(BLANK) == "–"
    assert summary_text([DONE, BLANK, BLANK]) == "1 reproduced, 2 needs data"


def test_results_survive_their_own_json():
    assert Result.from_json(DONE.to_json()) == DONE


def test_an_empty_report_says_so(tmp_path):
    assert "No installed package has claims" in write([], tmp_path, scale="quick").read_text()


def test_the_page_fits_a_phone_in_a_real_browser(tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs Chromium on the PATH")
    long = replace(DONE, statement="A statement " * 30, note="x" * 400, verdict=Verdict.ERROR)
    write([DONE, long, BLANK], tmp_path, scale="quick")
    (tmp_path / "phone.html").write_text(
        "<iframe src='index.html' style='width:360px;height:800px;border:0'></iframe><script>onload=()=>{"
        "const d=frames[0].document.documentElement;document.title=d.scrollWidth+' of '+d.clientWidth}</script>"
    )
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run(
        [*command, f"file://{tmp_path / 'phone.html'}"], capture_output=True, text=True, timeout=60, check=True
    )
    width = re.search(r"<title>(\d+) of (\d+)</title>", done.stdout)
    assert width is not None, done.stdout[:500]
    assert int(width[1]) <= int(width[2]) <= 360
