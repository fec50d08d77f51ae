"""Team files: what is read, and where each fault is said to be."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pockethive.configs.loader import load_team, load_team_bytes, load_team_text, shipped_teams
from pockethive.configs.team import SkillInfo, Vocabulary
from pockethive.core.errors import ConfigError, Problem
from pockethive.core.labels import Label
from pockethive.core.spec import Fan, ModelNeed, PlannerKind, Team, Wait
from pockethive.core.task import Check, Deadline, EdgeKind, Policy
from pockethive.vocabulary import vocabulary

WORDS = Vocabulary(
    skills={
        "search": SkillInfo(needs_model=True),
        "rank": SkillInfo(needs_model=True),
        "synthesize": SkillInfo(needs_model=True),
    },
    checkers=frozenset({"quotation", "fit", "ranking", "citations"}),
)
SOUND = """\
team: small
model: tiny
roles:
  finder: {skill: search, verify: {check: quotation, choose: fit}, verdicts: 2}
  writer: {skill: synthesize, verify: [{check: citations}]}
planner:
  steps:
    find: {role: finder, each: devices, params: {question: "{goal}", limit: 4}}
    write: {role: writer, after: {find: {arrived_by: 2m}}}
limits: {timeout: 1h, lease: 20s, attempts: 2, max_tasks: 9, tokens: 50000, replication: 40}
"""


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_team_text(text, "t.yaml", WORDS)
    return str(caught.value).splitlines()


def change(old: str, new: str) -> str:
    assert SOUND.count(old) == 1, old
    return SOUND.replace(old, new)


def test_a_sound_file_becomes_a_team() -> None:
    team = load_team_text(SOUND, "t.yaml", WORDS)
    assert team.name == "small"
    assert team.model == ModelNeed(name="tiny")
    assert team.label is Label.HIVE
    assert team.planner.kind is PlannerKind.TEMPLATE
    finder = team.role("finder")
    assert finder.needs_model
    assert finder.verification.verdicts == 2
    assert finder.verification.checks == (
        Check(Policy.CHECK, "quotation"),
        Check(Policy.CHOOSE, "fit"),
    )
    find, write = team.planner.steps
    assert find.each is Fan.DEVICES
    assert find.params == {"question": "{goal}", "limit": 4}
    assert write.after == (Wait(kind=EdgeKind.ARRIVED_BY, steps=("find",), seconds=120),)
    limits = team.limits
    assert (limits.timeout_seconds, limits.lease_seconds) == (3600, 20)
    assert (limits.attempts, limits.max_tasks) == (2, 9)
    assert (limits.tokens, limits.replication) == (50_000, 40)


@pytest.mark.parametrize(
    ("given", "kind"), [("true", "yes or no"), ("[finder]", "a list"), ("", "nothing")]
)
def test_a_free_planner_without_its_steps_is_told_what_belongs_there(given: str, kind: str) -> None:
    team = SOUND[: SOUND.index("  steps:")] + f"  free: {given}\n"
    said = "`free` must be a mapping of the steps that the model may take, found "
    assert f"t.yaml:7:{9 if given else 8}: {said}{kind} (as under `steps`: name: {{role: …}})" in (
        faults(team)
    )


@pytest.mark.parametrize(
    "text", ["{goal}", "({goal})", "{{goal}}", "set {a, b}", "{x: 1} {goal}", '{"goal": 1}', "}{"]
)
def test_braces_that_nobody_took_for_a_place_are_text(text: str) -> None:
    quoted = "'" + text + "'"
    team = load_team_text(change('"{goal}"', quoted), "t.yaml", WORDS)
    assert team.planner.steps[0].params["question"] == text


@pytest.mark.parametrize(
    ("after", "wait"),
    [
        ("find", Wait(kind=EdgeKind.ALL, steps=("find",))),
        ("[find]", Wait(kind=EdgeKind.ALL, steps=("find",))),
        ("{find: all}", Wait(kind=EdgeKind.ALL, steps=("find",))),
        ("{find: {at_least: 3}}", Wait(kind=EdgeKind.AT_LEAST, steps=("find",), count=3)),
        (
            "{steps: [find], arrived_by: 5s, at_least: 2}",
            Wait(kind=EdgeKind.ARRIVED_BY, steps=("find",), count=2, seconds=5),
        ),
    ],
)
def test_after_has_short_and_full_forms(after: str, wait: Wait) -> None:
    team = load_team_text(change("{find: {arrived_by: 2m}}", after), "t.yaml", WORDS)
    assert team.planner.steps[1].after == (wait,)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("team: small", "teem: small", "1:1", "did you mean 'team'?"),
        ("team: small", "team: 5", "1:7", "team must be text, found a whole number (put it in"),
        (
            "skill: search",
            "skill: serch",
            "4:19",
            "skill 'serch' is not known (did you mean 'search'",
        ),
        ("check: quotation,", "check: quotatoin,", "4:43", "did you mean 'quotation'?"),
        ("choose: fit", "chose: fit", "4:54", "did you mean 'choose'?"),
        ("verdicts: 2", "verdicts: 0", "4:78", "verdicts is 0, it must be from 1 to 7"),
        ("verdicts: 2", "verdicts: two", "4:78", "verdicts must be a whole number, found 'two'"),
        ("role: writer", "role: riter", "9:19", "role 'riter' is not known (did you mean 'writer'"),
        ("each: devices", "each: device", "8:32", "did you mean 'devices'?"),
        (
            "{find: {arrived",
            "{fnd: {arrived",
            "9:35",
            "step 'fnd' is not known (did you mean 'find'",
        ),
        ("arrived_by: 2m", "arrived_by: 2", "9:54", "must be a duration, found '2' (write 20s"),
        ("limit: 4", "limit: 0.5", "8:77", "params.limit must be text, found a number with a "),
        ('"{goal}"', '"{goal"', "8:60", "the place {goal is not closed (write {goal})"),
        ('"{goal}"', '"all of {gaol"', "8:60", "the place {gaol is not closed (write {goal})"),
        ('"{goal}"', '"{goal and more"', "8:60", "the place {goal is not closed (write {goal})"),
        ('"{goal}"', '"goal}"', "8:60", "the place goal} is not opened (write {goal})"),
        ('"{goal}"', '"{ goal }"', "8:60", "the place { goal } is never filled (write {goal})"),
        ('"{goal}"', '"{Goal}"', "8:60", "the place {Goal} is never filled (write {goal})"),
        ('"{goal}"', '"{gaol}"', "8:60", "{gaol} is never filled (did you mean 'goal'?)"),
        ("timeout: 1h", "timeout: 0s", "10:19", "timeout is 0s, it must be from 1s to 604800s"),
        ("planner:\n  steps:", "planner:\n  step:", "7:3", "did you mean 'steps'?"),
        ("model: tiny\n", "", "1:1", "names no model, but finder, writer needs one"),
        ("roles:\n", "rolls:\n", "3:1", "did you mean 'roles'?"),
        ("  finder: ", "  Finder: ", "4:3", "'Finder' is not a name for a role"),
    ],
)
def test_a_fault_is_said_at_its_place_with_its_cure(
    old: str, new: str, line: str, said: str
) -> None:
    found = faults(change(old, new))
    assert any(one.startswith(f"t.yaml:{line}: ") and said in one for one in found), found


def test_all_faults_are_said_at_once_in_the_order_of_the_file() -> None:
    text = change("skill: search", "skill: x").replace("verdicts: 2", "verdicts: 99")
    text = text.replace("role: writer", "role: nobody").replace("lease: 20s", "lease: soon")
    places = [one.split(": ")[0] for one in faults(text)]
    assert places == ["t.yaml:4:19", "t.yaml:4:73", "t.yaml:9:19", "t.yaml:10:30"]


def test_steps_that_wait_for_each_other_are_named() -> None:
    text = change("each: devices", "after: write")
    assert faults(text) == [
        "t.yaml:8:33: the steps form a cycle: find -> write -> find (remove one of these `after`)"
    ]


def test_a_step_that_waits_for_itself_is_named() -> None:
    text = change("{find: {arrived_by: 2m}}", "write")
    assert "the steps form a cycle: write -> write" in faults(text)[0]


def test_an_output_that_leaves_its_device_needs_verification() -> None:
    text = change(", verify: [{check: citations}]", "")
    assert faults(text)[0].startswith("t.yaml:5:11: role 'writer' has no `verify`")
    staying = text.replace("{role: writer, ", "{role: writer, label: device, ")
    assert load_team_text(staying, "t.yaml", WORDS).planner.steps[1].label is Label.DEVICE


def test_paired_needs_two_fans() -> None:
    text = change("{find: {arrived_by: 2m}}", "{find: {paired: yes}}")
    assert "`paired` needs `each` on both steps" in faults(text)[0]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "t.yaml:1:1: the file is empty"),
        (b"# nothing but a comment\n", "t.yaml:1:1: the file is empty"),
        (b"- a\n- b\n", "t.yaml:1:1: expected settings as `name: value`, found a list"),
        (b"hello", "t.yaml:1:1: expected settings as `name: value`, found text"),
        (b"team: a\nmodel: \xff\n", "t.yaml:2:8: not UTF-8 text (save the file as UTF-8)"),
        (b"team: a\nteam: b\n", "t.yaml:2:1: 'team' is given twice, first at t.yaml:1:1 (remove"),
        (b"team: [a\n", "t.yaml:2:1: not readable as YAML"),
        (b"team: a\n\tmodel: b\n", "t.yaml:2:1: not readable as YAML"),
        (b"a: &x b\nc: *x\n", "t.yaml:1:4: anchors and aliases are not read"),
        (b"team: !!python/name:os.system x\n", "t.yaml:1:7: the tag tag:yaml.org,2002:python"),
        (b"a: 1\n---\nb: 2\n", "t.yaml:2:1: not readable as YAML"),
        (b"a: \x07\n", "t.yaml:1:4: a character that YAML does not allow"),
        (b"1: a\n", "t.yaml:1:1: a name must be text (put it in quotes)"),
        (b"a: " + b"[" * 5000, "nested deeper than 24"),
        (b"#" * (256 * 1024 + 1), "t.yaml:1:1: 262145 bytes, at most 262144 are read"),
    ],
)
def test_what_is_no_settings_file_is_refused_at_its_place(data: bytes, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_team_bytes(data, "t.yaml", WORDS)
    assert said in str(caught.value)


def test_a_missing_file_is_said_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "team.yaml").write_text(SOUND, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"there is no such file \(did you mean .*team\.yaml"):
        load_team(tmp_path / "taem.yaml", WORDS)
    with pytest.raises(ConfigError, match="does not exist"):
        load_team(tmp_path / "nowhere" / "team.yaml", WORDS)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_team(tmp_path, WORDS)
    assert load_team(tmp_path / "team.yaml", WORDS).name == "small"


def test_shipped_teams_load_by_their_bare_names() -> None:
    assert shipped_teams() == ("minimal", "research", "shards")
    for name in shipped_teams():
        assert load_team(name, vocabulary()).name == name
    with pytest.raises(ConfigError, match="did you mean 'research'"):
        load_team("reserch", WORDS)


METHODS = """\
model: tiny
roles:
  finder: {skill: search, verify: {check: quotation}}
planner:
  root: answer
  fallback: plain
  lead: 2
  forms: [{name: list, line: "- {goal}\\n"}]
  methods:
    plain: {achieves: answer, examples: [where is it], steps: {find: {role: finder}}}
    pair:
      achieves: answer
      slots: {first: One, second: {ask: Two, optional: yes}}
      examples: [{goal: a or b, first: a, second: b}]
      subgoals:
        one: {achieves: answer, goal: "{first}"}
        two: {achieves: answer, goal: "{second}", after: one}
"""


def test_methods_are_read_whole() -> None:
    planner = load_team_text(METHODS, "t.yaml", WORDS).planner
    assert (planner.root, planner.fallback, planner.lead) == ("answer", "plain", 2)
    pair = planner.methods[1]
    assert [(slot.name, slot.question, slot.optional) for slot in pair.slots] == [
        ("first", "One", False),
        ("second", "Two", True),
    ]
    assert pair.examples[0].slots == {"first": "a", "second": "b"}
    assert pair.subgoals[1].after == (Wait(kind=EdgeKind.ALL, steps=("one",)),)


@pytest.mark.parametrize(
    ("old", "new", "place", "said"),
    [
        ("root: answer", "root: anser", "5:9", "did you mean 'answer'?"),
        ("fallback: plain", "fallback: plane", "6:13", "did you mean 'plain'?"),
        ('{achieves: answer, goal: "{first}"}', '{achieves: x, goal: "{first}"}', "16:25", "'x'"),
        ('goal: "{second}"', 'goal: "{third}"', "17:39", "{third} is never filled"),
        ("second: b}]", "second: c}]", "14:51", "'c' does not stand in the goal of its example"),
        (" examples: [where is it],", "", "10:12", "has rivals for 'answer' and needs `examples`"),
        ('line: "- {goal}\\n"', 'line: "-"', "8:30", "must hold {goal} once"),
        ("after: one", "after: two", "17:58", "cycle: two -> two"),
        ("  root: answer\n", "", "5:3", "planner needs 'root'"),
    ],
)
def test_faults_in_methods_are_said_at_their_place(
    old: str, new: str, place: str, said: str
) -> None:
    assert METHODS.count(old) == 1
    found = faults(METHODS.replace(old, new))
    assert any(one.startswith(f"t.yaml:{place}: ") and said in one for one in found), found


def test_steps_and_methods_together_are_refused() -> None:
    assert "one of `steps`, `methods` and `free`" in faults(METHODS + "  steps: {}\n")[0]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["finder", "find", "search", "all", "2m", "{goal}", "devices"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["team", "roles", "planner", "steps", "find", "role", "after", "verify"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def load_or_explain(data: bytes) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        team = load_team_bytes(data, "t.yaml", WORDS)
    except ConfigError as error:
        team, problems = None, error.problems
    assert isinstance(team, Team) is not bool(problems)
    assert all(one.where.startswith("t.yaml:") for one in problems)


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_any_yaml_value_gives_a_team_or_its_faults(value: object) -> None:
    load_or_explain(yaml.safe_dump(value, allow_unicode=True).encode("utf-8", "replace"))


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([SOUND, METHODS]),
    st.integers(0, 900),
    st.integers(0, 30),
    st.binary(max_size=6),
)
def test_any_damage_to_a_sound_file_gives_a_team_or_its_faults(
    text: str, start: int, length: int, new: bytes
) -> None:
    data = text.encode()
    load_or_explain(data[:start] + new + data[start + length :])


def test_a_deadline_is_read_and_its_soft_part_comes_first() -> None:
    def late(soft: str) -> str:
        deadline = f"deadline: {{soft: {soft}, hard: 1m}}"
        return change("skill: synthesize,", f"skill: synthesize, {deadline},")

    team = load_team_text(late("9s"), "t.yaml", WORDS)
    assert [role.deadline for role in team.roles] == [Deadline(), Deadline(9, 60)]
    (fault,) = faults(late("1m"))
    assert fault.startswith("t.yaml:5:41: the soft deadline of role 'writer', 60s, does not come")


@pytest.mark.parametrize(
    ("shown", "told"),
    [(None, "no held-out accuracy at that"), (0.799, "79.9 % at least"), (0.8, "")],
)
def test_a_judge_is_refused_unless_the_model_s_card_shows_that_it_can(
    shown: float | None, told: str
) -> None:
    words = replace(WORDS, judging=lambda need: shown if need.name == "tiny" else 1.0)
    text = change("choose: fit", "judge: fit")
    if not told:
        checks = load_team_text(text, "t.yaml", words).role("finder").verification.checks
        assert checks[1] == Check(Policy.JUDGE, "fit")
        return
    with pytest.raises(ConfigError) as caught:
        load_team_text(text, "t.yaml", words)
    (problem,) = caught.value.problems
    assert str(problem).startswith(
        "t.yaml:4:54: `judge` asks a model for a free yes or no, and the card of tiny shows "
        f"{told}; 80 % are wanted (use `choose`,"
    )


def test_adaptive_is_read_and_refused_where_nobody_could_earn_credit() -> None:
    adaptive = change("verdicts: 2}", "verdicts: 2, adaptive: yes}")
    team = load_team_text(adaptive, "t.yaml", WORDS)
    assert team.role("finder").verification.adaptive
    assert not team.role("writer").verification.adaptive
    unchecked = change("verify: [{check: citations}]}", "adaptive: yes}")
    assert (
        "t.yaml:5:41: role 'writer' is `adaptive`, but has no `verify` by which a device could "
        "earn credit (add `verify`, or leave `adaptive` out)" in faults(unchecked)
    )
    kept = adaptive.replace("each: devices,", "each: devices, label: device,")
    assert (
        "t.yaml:4:91: role 'finder' is `adaptive`, but all its outputs stay on their device "
        "(leave `adaptive` out: nobody verifies what is labelled `device`)" in faults(kept)
    )
    assert (
        "adaptive must be yes or no" in faults(adaptive.replace("adaptive: yes", "adaptive: 3"))[0]
    )
