"""The checker that reads a written text again, for a skill that says what it asks.

Rule guarded here: a text counts for what this device's model writes of the same task. Whether the
text is true, or good, is not asked.
"""

from typing import Any

from pockethive.actors.skill import Finding, Tools, Work, model_for
from pockethive.actors.skills.writing import Writer, prompted
from pockethive.core.errors import BadEncoding, ContextOverflow, SkillFailure
from pockethive.core.rescore import WrittenText, checker_of, judge


class Rescore:
    """Reads what `skill` wrote in one go. `rescore.SKILL` by name; teams say `verify: rescore`."""

    needs_model = True

    def __init__(self, skill: Writer) -> None:
        self._skill = skill
        self.name = checker_of(skill.name)

    def check(self, work: Work, value: Any, tools: Tools) -> Finding:
        """Judge a written text. Raises SkillFailure without a model, or for another skill."""
        model = model_for("reading a text again", work, tools)
        if work.skill != self._skill.name:
            raise SkillFailure(f"{self.name} cannot read what {work.skill} made", where=work.name)
        try:
            text = WrittenText.read(value)
        except BadEncoding as error:
            return Finding(accept=False, reason=str(error))
        own = model.model_class.id
        if text.model != own:
            reason = f"it says that class {text.model[:12]} wrote it; this one is {own[:12]}"
            return Finding(accept=False, reason=reason)
        prompt, sampling = prompted(self._skill, work, model)
        try:
            mine = model.rescore(prompt, text.ids, sampling)
        except ContextOverflow as error:
            return Finding(accept=False, reason=f"nobody can have written it: {error}")
        fault = judge(text, mine)
        count = len(text.ids)
        told = f"{count} tokens read again: as this model writes them, {-text.mean / 1e6:.2f} nats"
        return Finding(accept=not fault, reason=fault or told)
