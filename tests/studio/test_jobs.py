"""Background jobs: in order, stoppable, with progress, errors kept."""

import logging
import threading

import pytest

from lipsync.errors import Cancelled, MediaError, UsageError
from lipsync.studio.jobs import CANCELLED, DONE, FAILED, RUNNING, WAITING, JobProgress, Jobs


@pytest.fixture
def jobs():
    made = Jobs()
    yield made
    made.close()


class Gate:
    """Work that begins, waits for `go`, and reports until it is stopped or done."""

    def __init__(self, reports=1):
        self.begun, self.go, self.reports = threading.Event(), threading.Event(), reports

    def __call__(self, progress):
        progress.start("waiting", self.reports)
        self.begun.set()
        assert self.go.wait(10)
        for _ in range(self.reports):
            progress.advance(1, "loss 0.5")
        progress.done("well")
        return "result"


def test_one_after_another_in_order(jobs):
    order, gate = [], Gate()
    first = jobs.submit("first", lambda progress: order.append(gate(progress)))
    assert gate.begun.wait(10)
    second = jobs.submit("second", lambda progress: order.append("second"))
    assert (jobs.snapshot(first).state, jobs.snapshot(second).state) == (RUNNING, WAITING)
    gate.go.set()
    assert jobs.wait(second).state == DONE
    assert order == ["result", "second"]


def test_progress_is_seen_while_it_runs_and_kept_after(jobs):
    halfway, go = threading.Event(), threading.Event()

    def work(progress):
        progress.start("learning", 4, "steps")
        progress.advance(1, "loss 0.7")
        progress.advance(1, "loss 0.6")
        halfway.set()
        assert go.wait(10)
        progress.done("best")

    job = jobs.submit("learn", work)
    assert halfway.wait(10)
    seen = jobs.snapshot(job)
    assert (seen.stage, seen.share, seen.note) == ("learning", 0.5, "loss 0.6")
    assert seen.left_s is not None
    assert [note for _, note in seen.readings] == ["loss 0.7", "loss 0.6"]
    go.set()
    after = jobs.wait(job)
    assert after.over
    assert after.finished[0].startswith("learning")
    assert after.finished[0].endswith("best")


def test_the_result_or_the_error_is_kept(jobs):
    def fail(progress):
        raise MediaError("film.mp4: no video")

    good, bad = jobs.submit("good", lambda progress: 42), jobs.submit("bad", fail)
    assert jobs.wait(bad).state == FAILED
    assert jobs.snapshot(bad).error == "film.mp4: no video"
    assert jobs.result(good) == 42
    with pytest.raises(MediaError):
        jobs.result(bad)


def test_a_surprise_is_named_logged_and_stops_nothing(jobs, caplog):
    with caplog.at_level(logging.ERROR, "lipsync"):
        bad = jobs.submit("bad", lambda progress: 1 / 0)
        assert jobs.wait(jobs.submit("next", lambda progress: None)).state == DONE
    assert "ZeroDivisionError" in jobs.snapshot(bad).error
    assert any(record.exc_info for record in caplog.records)


def test_stopping_a_running_job_ends_it_at_its_next_report(jobs):
    gate = Gate(reports=1000)
    job = jobs.submit("long", gate)
    assert gate.begun.wait(10)
    jobs.cancel(job)
    assert jobs.snapshot(job).state == RUNNING
    gate.go.set()
    assert jobs.wait(job).state == CANCELLED
    with pytest.raises(Cancelled):
        jobs.result(job)


def test_stopping_a_waiting_job_means_it_never_begins(jobs):
    gate, ran = Gate(), []
    jobs.submit("first", gate)
    assert gate.begun.wait(10)
    waiting = jobs.submit("second", lambda progress: ran.append(1))
    jobs.cancel(waiting)
    assert jobs.snapshot(waiting).state == CANCELLED
    gate.go.set()
    assert jobs.wait(jobs.submit("third", lambda progress: None)).state == DONE
    assert ran == []


def test_the_same_work_is_not_started_twice(jobs):
    gate = Gate()
    job = jobs.submit("learn Anna", gate, key="anna")
    with pytest.raises(UsageError, match="learn Anna"):
        jobs.submit("learn Anna again", gate, key="anna")
    gate.go.set()
    jobs.wait(job)
    again = jobs.submit("and again", lambda progress: None, key="anna")
    assert jobs.latest("anna") == again
    assert jobs.latest("berta") is None


def test_unknown_and_unfinished_jobs_say_so(jobs):
    gate = Gate()
    job = jobs.submit("first", gate)
    with pytest.raises(UsageError, match="not finished"):
        jobs.result(job)
    with pytest.raises(UsageError, match="no job"):
        jobs.snapshot("nothing")
    gate.go.set()
    jobs.wait(job)


def test_readings_are_thinned_out_but_span_the_stage():
    progress = JobProgress(most_readings=50)
    progress.start("learning", 10_000)
    for step in range(10_000):
        progress.advance(1, f"loss {step}")
    kept = progress.fields()["readings"]
    assert 20 <= len(kept) < 50
    assert kept[0][0] < 600
    assert kept[-1][0] > 9_000
