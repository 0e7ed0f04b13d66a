#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""jobs/train.sbatch on a real Slurm of two nodes: what is preempted, signalled, out of time or loses
a node is requeued by itself and ends with the bits of an undisturbed run.

    slurm_test.py PROGRAM [NAME...]    NAME: a class of tests, or one as TestSlurm.test_...

With GALETTE_SOAK set, those of TestSlurmForLong run as well, which takes a quarter of an hour. Where Slurm is not installed this
says so and exits with 77."""

import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SBATCH_FILE = HERE.parent.parent / "jobs" / "train.sbatch"
FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
SKIPPED = 77

# A tiny network on 16x16 pictures: 16 iterations of 64 pictures, some seconds on one core.
TRAINING = "--cfg=creps --batch=64 --gamma=1 --cbase=32 --cmax=4 --map-depth=2 --tick=1 --snap=100 \
--aug=noaug --metrics=none"
# The resource lines of the job, for nodes of two cores.
RESOURCES = "--nodes=2 --ntasks-per-node=1 --gpus-per-node=1 --cpus-per-task=1 --time=10"

# A machine that others use as well may be many times slower than an idle one; the long tests take
# minutes even on an idle one.
PATIENCE = 1200 if os.environ.get("GALETTE_SOAK") else 240

RANDOM = random.Random(int(os.environ.get("GALETTE_SOAK_SEED", "1")))


def run(*command, check=True):
    """Standard output of a command; a failure tells what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def wait_until(condition, what, patience=PATIENCE):
    """Returns the first value that is true."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {patience} s: {what()}")


class Cluster:
    """The two nodes, a folder that they share, and the pictures."""

    def __init__(self, program):
        # In /tmp whatever TMPDIR says: paths of sockets may have 107 characters.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="galette-slurm-", dir="/tmp"))
        self.folder.chmod(0o755)  # munged wants its socket to be open to all
        self.program = program
        os.environ.update(
            GALETTE=program, OMP_NUM_THREADS="1", SLURM_CONF=str(self.folder / "slurm" / "slurm.conf")
        )
        for name in ("GALETTE_SITE", "GALETTE_REQUEUE", "GALETTE_FAULT"):
            os.environ.pop(name, None)

    def start(self):
        """Exit code of cluster.sh."""
        command = [HERE / "cluster.sh", "start", self.folder / "slurm", str(os.getpid())]
        return subprocess.run(command, check=False).returncode

    def control(self, command, *node):
        run(str(HERE / "cluster.sh"), command, str(self.folder / "slurm"), *node)

    def pack_pictures(self):
        run(self.program, "dataset", f"--source={FONT}", f"--dest={self.folder}/emoji.h5",
            "--resolution=16", "--max-images=200")  # fmt: skip

    def remove(self):
        self.control("stop")
        shutil.rmtree(self.folder, ignore_errors=True)


class Job:
    """A run of jobs/train.sbatch in the partition that may be preempted."""

    def __init__(self, name, *sbatch_options, kimg=1, more=()):
        self.run_dir = CLUSTER.folder / name
        self.log_file = CLUSTER.folder / f"{name}.log"
        self.id = run(
            "sbatch", "--parsable", "--partition=low", f"--output={self.log_file}",
            *RESOURCES.split(), *sbatch_options, str(SBATCH_FILE), str(self.run_dir),
            f"--data={CLUSTER.folder}/emoji.h5", f"--kimg={kimg}", *TRAINING.split(), *more,
        ).strip()  # fmt: skip

    def log(self):
        return self.log_file.read_text() if self.log_file.exists() else ""

    def field(self, name):
        text = run("scontrol", "--oneliner", "show", "job", self.id)
        return re.search(rf"\b{name}=(\S*)", text).group(1)

    def told(self):
        """For messages: where the job stands."""
        tail = "\n".join(self.log().splitlines()[-30:])
        return f"job {self.id}: {self.field('JobState')}, {self.field('Reason')}\n{tail}"

    def wait_for_log(self, text, count=1):
        wait_until(lambda: self.log().count(text) >= count, lambda: f"{text}\n{self.told()}")

    def wait_for_training(self):
        self.wait_for_log("tick 0 ")

    def wait_for_end(self):
        over = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        return wait_until(lambda: self.field("JobState") in over and self.field("JobState"), self.told)

    def signal(self, *options):
        run("scancel", *options, self.id)

    def checkpoint(self):
        return self.run_dir / (self.run_dir / "latest").read_text().strip()


class JobTest(unittest.TestCase):
    """Compares a job that was disturbed with one that was not."""

    undisturbed = {}

    def reference(self, kimg):
        """The undisturbed run of that length, made once."""
        if kimg not in self.undisturbed:
            job = Job(f"undisturbed{kimg}", kimg=kimg)
            self.assertEqual(job.wait_for_end(), "COMPLETED", job.told())
            self.undisturbed[kimg] = job
        return self.undisturbed[kimg]

    def expect_finished(self, job, restarts, kimg=1, states=("COMPLETED",)):
        """By itself, after so many restarts, or at least one when that is None."""
        self.assertIn(job.wait_for_end(), states, job.told())
        count = int(job.field("Restarts"))
        self.assertTrue(count == restarts if restarts is not None else count > 0, job.told())
        self.expect_same_result(job, self.reference(kimg))

    def expect_same_result(self, job, other):
        self.assertEqual(job.checkpoint().name, other.checkpoint().name)
        differences = run("h5diff", "--verbose", str(job.checkpoint()), str(other.checkpoint()),
                          "/arrays")  # fmt: skip
        self.assertGreaterEqual(differences.count("\n0 differences found"), 8, differences)
        self.assertEqual(ticks(job), ticks(other))


class TestSlurm(JobTest):
    """Each test disturbs a job in its own way."""

    def test_trains_to_the_end_on_two_nodes(self):
        job = self.reference(kimg=1)
        self.assertIn("Ranks:               2", job.log())
        self.assertEqual(int(job.field("NumNodes")), 2)
        self.assertEqual(ticks(job), [0, 1])

    def test_preempted_job_saves_is_requeued_and_finishes(self):
        job = Job("preempted")
        job.wait_for_training()
        preempt()
        job.wait_for_log("saved and stopped (85)")
        self.expect_finished(job, restarts=1)
        self.assertIn("Going on from", job.log())

    def test_signal_to_the_script_alone_reaches_the_ranks(self):
        job = Job("batch-signal")
        job.wait_for_training()
        job.signal("--batch", "--signal=USR1")  # as --signal=B:USR1@300 does
        job.wait_for_log("passing SIGUSR1 on")
        self.expect_finished(job, restarts=1)

    def test_cancelled_job_saves_and_stays_cancelled(self):
        job = Job("cancelled")
        job.wait_for_training()
        job.signal()
        self.assertEqual(job.wait_for_end(), "CANCELLED", job.told())
        self.assertTrue(job.checkpoint().exists(), job.told())

    def test_job_that_lost_a_node_goes_on_when_the_node_is_back(self):
        job = Job("lost-node", more=["--checkpoint-every=0.03"])
        wait_until(lambda: (job.run_dir / "latest").exists(), job.told)
        CLUSTER.control("kill-node", "n2")
        wait_until(lambda: job.field("Restarts") == "1", job.told)
        CLUSTER.control("start-node", "n2")
        self.expect_finished(job, restarts=1)
        self.assertIn("Going on from", job.log())


@unittest.skipUnless(os.environ.get("GALETTE_SOAK"), "takes minutes; tools/soak.sh runs it")
class TestSlurmForLong(JobTest):
    """Slurm looks at time limits twice a minute, so some of these runs last longer than that."""

    kimg = 20

    def test_signal_before_the_time_limit(self):
        job = Job("signal", "--time=1", "--signal=USR1@10", kimg=self.kimg)
        job.wait_for_log("saved and stopped (85)")
        self.expect_finished(job, restarts=None, kimg=self.kimg)

    def test_time_limit_without_a_signal_before_it(self):
        job = Job("limit", "--time=1", "--signal=B:CONT@1", kimg=self.kimg)
        job.wait_for_log("saved and stopped (85)")
        # What ends by itself after its limit, while Slurm waits before it kills, is done all the same.
        self.expect_finished(job, restarts=None, kimg=self.kimg, states=("COMPLETED", "TIMEOUT"))
        self.assertIn(": done", job.log().splitlines()[-1])

    def test_where_requeueing_is_not_allowed_a_new_job_goes_on(self):
        job = Job("resubmitted", "--export=ALL,GALETTE_REQUEUE=resubmit")
        job.wait_for_training()
        job.signal("--signal=USR1")
        self.assertEqual(job.wait_for_end(), "COMPLETED", job.told())
        job.id = re.search(r"Submitted batch job (\d+)", job.log()).group(1)
        self.expect_finished(job, restarts=0)

    def test_ranks_outlive_a_restart_of_slurmd(self):
        job = Job("slurmd")
        job.wait_for_training()
        CLUSTER.control("end-slurmd", "n2")
        CLUSTER.control("start-node", "n2")
        self.expect_finished(job, restarts=0)

    def test_preempted_again_and_again(self):
        job = Job("again", kimg=self.kimg)
        for count in range(1, 5):
            job.wait_for_log("Training for", count)
            time.sleep(RANDOM.uniform(0, 8))
            preempt()
            job.wait_for_log("saved and stopped (85)", count)
        self.expect_finished(job, restarts=4, kimg=self.kimg)


def ticks(job):
    """The ticks of stats.jsonl, in its order."""
    lines = (job.run_dir / "stats.jsonl").read_text().splitlines()
    return [round(json.loads(line)["Progress/tick"]["mean"]) for line in lines]


def preempt():
    """A job of higher priority that wants both nodes for two seconds."""
    run("sbatch", "--partition=high", "--nodes=2", "--exclusive", "--time=5", "--output=/dev/null",
        "--wrap=sleep 2")  # fmt: skip


if __name__ == "__main__":
    CLUSTER = Cluster(str(pathlib.Path(sys.argv[1]).resolve()))
    try:
        code = CLUSTER.start()
        if code != 0:
            sys.exit(code)
        CLUSTER.pack_pictures()
        unittest.main(argv=[sys.argv[0], "--verbose", *sys.argv[2:]])
    finally:
        CLUSTER.remove()
