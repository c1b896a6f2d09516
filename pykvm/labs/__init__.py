"""The lab course: hypervisor internals, learned by doing.

Each folder `labNN_name` is one lab: text, starter, hints, checker.  `catalogue` finds them,
`folder` lays one out for a student, `checking` judges what the student made of it.  docs/labs.md
lists the course, docs/writing-a-lab.md says how a lab is made.
"""
