"""Roles with `verify: rescore`: what another device cannot read again is refused at its place.

Rule guarded here: nobody learns from a run that ended what his team file could have told him.
"""

from collections.abc import Collection, Mapping

from pockethive.configs.reader import Reader
from pockethive.configs.yaml_tree import Tree
from pockethive.core.labels import Label
from pockethive.core.rescore import RESCORE, read_again
from pockethive.core.spec import Team


def check_rescored(
    read: Reader, team: Team, trees: Mapping[str, Tree], writers: Collection[str]
) -> None:
    """Say which roles cannot be verified so. `writers`: skills that say what they ask a model."""
    staying = {step.role for step in team.planner.every_step if step.label is Label.DEVICE}
    for role in team.roles:
        if not read_again(role.verification):
            continue
        verify = trees[role.name].entries["verify"]
        place = next(item.where for item in read.items(verify) if item.text == RESCORE)
        what = f"role {role.name!r} has its texts read again by another device's model"
        if role.skill not in writers:
            known = ", ".join(f"`{name}`" for name in sorted(writers)) or "no skill here"
            read.fault(
                place,
                f"{what}, but its skill {role.skill!r} does not say what it asks the model",
                f"{known} can be verified so; or name a checker: `rescore: …`",
            )
        elif team.model is None:
            read.fault(place, f"{what}, but the team names no model", "add `model: …`")
        if role.name in staying:
            read.fault(
                place,
                f"{what}, but a step of it is labelled `device`, and its text may not leave",
                "label the step `people`, `hive` or `public`, or verify it otherwise",
            )
