"""``make peers``: unexpected results of the compatibility tests, and the page with the expected
ones.
"""

from __future__ import annotations

import hmac
import json
import re
import shutil
from base64 import b64encode
from typing import Any
from urllib.parse import quote

import pytest

from peers import express_session, page
from peers.outcomes import FAILED, PASSED, SKIPPED, Outcomes, peer_called
from peers.peer import PROJECTS, Peer
from peers.report import Report, judge
from tests.support import ROOT

TEST = "tests/test_a.py::test_a"


def judged(
    run: dict[str, str],
    differs: dict[str, str] | None = None,
    plain: dict[str, str] | None = None,
    stored: int = 1,
) -> Report:
    report = Report("some", "some")
    peer = Peer("some", "somehow", ("tests",), differs=differs or {})
    judge(report, peer, Outcomes(run, stored=stored), Outcomes(plain or {}))
    return report


def test_a_suite_that_passes_is_no_surprise() -> None:
    report = judged({TEST: PASSED, f"{TEST}b": SKIPPED})
    assert (report.passed, report.skipped, report.problems) == (1, 1, [])


def test_an_expected_difference_is_no_surprise() -> None:
    report = judged({TEST: FAILED}, {TEST: "a reason"})
    assert (report.differ, report.problems) == ([TEST], [])


def test_a_difference_of_all_parameters_is_no_surprise() -> None:
    report = judged({f"{TEST}[1]": FAILED, f"{TEST}[2]": FAILED}, {TEST: "a reason"})
    assert (len(report.differ), report.problems) == (2, [])


@pytest.mark.parametrize(
    ("run", "differs", "stored"),
    [
        pytest.param({TEST: FAILED}, {}, 1, id="unexpected"),
        pytest.param({TEST: PASSED}, {TEST: "a reason"}, 1, id="passes-now"),
        pytest.param(
            {f"{TEST}[1]": FAILED, f"{TEST}[2]": PASSED}, {TEST: "a reason"}, 1, id="one-passes-now"
        ),
        pytest.param({TEST: PASSED}, {f"{TEST}b": "a reason"}, 1, id="gone"),
        pytest.param({TEST: PASSED}, {}, 0, id="not-in-place"),
    ],
)
def test_an_unexpected_result_is_a_surprise(
    run: dict[str, str], differs: dict[str, str], stored: int
) -> None:
    assert len(judged(run, differs, stored=stored).problems) == 1


def test_a_test_that_fails_without_lembro_too_is_no_surprise() -> None:
    report = judged({TEST: FAILED, f"{TEST}b": FAILED}, plain={TEST: FAILED, f"{TEST}b": PASSED})
    assert report.without_too == [TEST]
    assert len(report.problems) == 1


def test_a_test_has_the_worst_result_of_its_parts() -> None:
    outcomes = Outcomes()
    outcomes.note(TEST, PASSED)
    outcomes.note(TEST, FAILED, "at the end of it")
    outcomes.note(TEST, PASSED)
    assert (outcomes.tests, outcomes.said) == ({TEST: FAILED}, {TEST: "at the end of it"})


def test_every_file_of_a_project_is_in_the_report() -> None:
    files = {
        path.stem
        for path in (ROOT / "peers").glob("*.py")
        if re.search(r"^PEER(: Peer)? = ", path.read_text(encoding="utf-8"), re.M)
    }
    assert files == set(PROJECTS)


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_has_tests_or_a_reason(name: str) -> None:
    peer = peer_called(name)
    assert bool(peer.tests) is not bool(peer.without)
    assert all(peer.differs.values())


def test_the_page_has_the_expected_differences() -> None:
    assert page.up_to_date(None) == page.PAGE.read_text(encoding="utf-8")


# -- express-session -------------------------------------------------------------------------------


def made_by_express(**changes: Any) -> dict[str, Any]:
    """Return what ``peers/node/express.js`` prints for one configuration."""
    secret, session_id = express_session.SECRETS[1], "qJ9Ea0aVBhTPXW5Hd0f1CzT3PZ5GkmQF"
    mac = b64encode(hmac.digest(secret.encode(), session_id.encode(), "sha256")).rstrip(b"=")
    stored = {"cookie": {"expires": "2030-01-01T00:00:00.000Z"}, "user_id": 7}
    return {
        "cookie": {"maxAge": 60_000},
        "set": f"connect.sid={quote(f's:{session_id}.{mac.decode()}', safe='')}",
        "held": {f"sess:{session_id}": json.dumps(stored)},
        "data": {"user_id": 7},
        **changes,
    }


def test_a_cookie_of_express_session_is_adopted() -> None:
    assert express_session.problems_of(made_by_express()) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"set": "connect.sid=s%3Aanother.signature"}, "it is not adopted"),
        ({"held": {}}, "it is not adopted"),
        ({"data": {"user_id": 8}}, "not unchanged"),
        ({"cookie": {"maxAge": None}}, "another lifetime"),
    ],
)
def test_a_wrong_cookie_of_express_session_is_reported(
    changes: dict[str, Any], problem: str
) -> None:
    (found,) = express_session.problems_of(made_by_express(**changes))
    assert problem in found


def test_a_reader_that_checks_no_signature_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "lembro.migrate.ExpressSessionReader.id_in",
        lambda self, value: value.partition("%3A")[2].partition(".")[0],
    )
    assert "it is adopted without the signature" in express_session.problems_of(made_by_express())


def test_without_node_it_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert express_session.run().line().endswith("not run: there is no node on the PATH")
