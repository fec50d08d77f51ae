"""Filling prompt forms.

Rule guarded here: what fills a place is data. It is put in by one pass over the template, so a
value that looks like a place, or like another form, stays what it is.
"""

import re
from collections.abc import Mapping

from pockethive.core.errors import BadInput
from pockethive.core.ports import ChoiceForm

_PLACE = re.compile(r"\{([a-z_]+)\}")


def fill_places(form: ChoiceForm, places: Mapping[str, str]) -> str:
    """The prompt that `form` makes of `places`; raises BadInput when a place is not given."""
    return form.shots + fill_template(form.template, places, form.name)


def fill_template(template: str, places: Mapping[str, str], name: str) -> str:
    """`template` with every `{place}` replaced; `name` is what an error calls it."""
    missing = sorted(set(_PLACE.findall(template)) - set(places))
    if missing:
        raise BadInput(
            f"the prompt form asks for {', '.join(missing)}",
            where=name,
            cure=f"given: {', '.join(sorted(places)) or 'nothing'}",
        )
    return _PLACE.sub(lambda match: places[match.group(1)], template)
