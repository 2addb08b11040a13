#!/usr/bin/env python3
"""Makes the embedded data set from the Sign Language Digits photographs.

    python3 make.py SOURCE [OUT]

SOURCE contains `pictures.csv` (path,digit,student), `images/` and `LICENSE`; OUT is this folder by
default. The script writes:

    train/0 .. train/4       150 photographs per class, of training students only
    test/0 .. test/4          50 photographs per class, of test students only
    pretrain/5 .. pretrain/9 150 photographs per class, of training students only
    pictures.csv             path,digit,student,split of every photograph above

The split is by *student* and not by photograph, because the same hand in training and test would
make every method look better than it is. The script needs only Python's standard library. The same
source gives the same files: the seed is fixed and the photographs are copied byte by byte.
"""

import collections
import csv
import pathlib
import random
import shutil
import sys

SEED = 20
TRAIN, TEST = 150, 50
TASK, PRETRAIN = range(0, 5), range(5, 10)


def main() -> None:
    source = pathlib.Path(sys.argv[1])
    out = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else pathlib.Path(__file__).parent
    rows = list(csv.DictReader(open(source / "pictures.csv", newline="")))

    students = sorted({row["student"] for row in rows}, key=int)
    random.Random(SEED).shuffle(students)
    shown = collections.defaultdict(collections.Counter)
    for row in rows:
        shown[row["student"]][int(row["digit"])] += 1

    # Assigns students to the test set until each of its classes has enough photographs.
    have, test_students = collections.Counter(), set()
    for student in students:
        if all(have[digit] >= TEST for digit in TASK):
            break
        test_students.add(student)
        have.update(shown[student])

    wanted = {("train", digit): TRAIN for digit in TASK}
    wanted |= {("test", digit): TEST for digit in TASK}
    wanted |= {("pretrain", digit): TRAIN for digit in PRETRAIN}
    chosen, order = [], {student: i for i, student in enumerate(students)}
    for row in sorted(rows, key=lambda row: (order[row["student"]], row["path"])):
        digit, is_test = int(row["digit"]), row["student"] in test_students
        split = "test" if is_test else "train" if digit in TASK else "pretrain"
        if wanted.get((split, digit), 0) > 0:
            wanted[split, digit] -= 1
            chosen.append((split, digit, row["student"], row["path"]))
    missing = {key: left for key, left in wanted.items() if left}
    if missing:
        sys.exit(f"not enough photographs: {missing} are missing")

    for split in ("train", "test", "pretrain"):
        shutil.rmtree(out / split, ignore_errors=True)
    with open(out / "pictures.csv", "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["path", "digit", "student", "split"])
        for split, digit, student, path in sorted(chosen, key=lambda c: (c[0], c[1], c[3])):
            target = out / split / str(digit) / pathlib.Path(path).name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, target)
            table.writerow([target.relative_to(out).as_posix(), digit, student, split])
    shutil.copyfile(source / "LICENSE", out / "LICENSE")


if __name__ == "__main__":
    main()
