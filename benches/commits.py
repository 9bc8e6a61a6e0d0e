"""Builds this working tree, and other commits of it in a worktree below `target/`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "target"
AGAINST = TARGET / "against"
SHIPPED = "dist"


def git(*arguments, folder=ROOT):
    return subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def commit_of(name):
    """The full id of a commit."""
    try:
        return git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    except subprocess.CalledProcessError:
        sys.exit(f"{name}: there is no such commit")


def build(folder, target, *examples, binaries=(), profile=SHIPPED):
    """Builds programs, as they are shipped if nothing else is said; the paths of the binaries, and of the examples.

    Two trees in one target folder would pass for each other. Each commit that has the examples has the profile `dist`, too.
    """
    wanted = [part for binary in binaries for part in ("--bin", binary)]
    wanted += [part for example in examples for part in ("--example", example)]
    cargo = [os.environ.get("CARGO", "cargo"), "build", "--locked", "--profile", profile, "--target-dir", target, *wanted]
    subprocess.run(cargo, cwd=folder, check=True)
    built = target / profile
    return [built / binary for binary in binaries] + [built / "examples" / example for example in examples]


def checkout(sha):
    """The worktree, at that commit."""
    tree = AGAINST / "tree"
    if (tree / ".git").exists():
        git("checkout", "--quiet", "--detach", "--force", sha, folder=tree)
    else:
        git("worktree", "prune")
        git("worktree", "add", "--quiet", "--detach", "--force", tree, sha)
    return tree


def dependencies(profile=SHIPPED):
    """The worktree's own target folder, which begins with the dependencies that this tree has built."""
    target = AGAINST / "target"
    ours = shutil.ignore_patterns("incremental", "examples", "*reveille*", "*rivals*adapter*", "*empty*endpoint*")
    if not (target / profile).exists() and (TARGET / profile).exists():
        shutil.copytree(TARGET / profile, target / profile, ignore=ours)
    return target
