"""Planning: a goal becomes a task graph.

`planner.make_plan` is the way in. `template` repeats a team's steps over devices; `methods` is a
hierarchical task network whose choices a small model makes by likelihood; `free` lets a larger one
write the plan. Pure but for the model they are handed: no file, socket, clock or thread.
"""
