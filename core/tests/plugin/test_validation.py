import pytest
from pydantic import Field, SecretStr, field_validator

from quarterdeck.plugin import ConfigError, Settings
from quarterdeck.plugin.validation import validated


class Model(Settings):
    ratio: float = Field(gt=0, le=1)


class Example(Settings):
    speed: float | str = "max"
    count: int = Field(default=1, description="how many, at least one", ge=1)
    key: SecretStr = SecretStr("")
    model: Model = Model(ratio=1)
    models: tuple[Model, ...] = ()
    weights: dict[str, float] = Field(default_factory=dict)
    name: str = "x"

    @field_validator("name")
    @classmethod
    def _short(cls, value: str) -> str:
        if len(value) > 3:
            raise ValueError("must have at most three letters")
        return value


def complaint(table: dict[str, object]) -> str:
    with pytest.raises(ConfigError) as refused:
        validated(Example, table, "[part]")
    return str(refused.value)


def test_a_good_table_is_read() -> None:
    assert validated(Example, {"count": 3, "model": {"ratio": 0.5}}, "[part]").count == 3


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"count": 0}, "[part] count = 0: must be greater than or equal to 1 (how many, at least one)"),
        ({"cuont": 1}, "[part] cuont: unknown key (did you mean 'count'?); known: count, key, model, models, name"),
        ({"zzz": 1}, "[part] zzz: unknown key; known: count"),
        ({"model": {"ratoi": 1, "ratio": 1}}, "[part] model.ratoi: unknown key (did you mean 'ratio'?); known: ratio"),
        ({"model": {}}, "[part] model.ratio: missing"),
        ({"models": [{"ratio": 1}, {"ratio": 2}]}, "[part] models[1].ratio = 2: must be less than or equal to 1"),
        ({"weights": {"btc": "heavy"}}, "[part] weights.btc = 'heavy': must be a valid number"),
        ({"name": "four"}, "[part] name = 'four': must have at most three letters"),
        ({"model": {"ratio": float("nan")}}, "[part] model.ratio = nan: must be a finite number"),
    ],
)
def test_a_complaint_names_the_place_the_value_and_what_is_allowed(table: dict[str, object], text: str) -> None:
    assert complaint(table).startswith(text)


def test_alternatives_make_one_line() -> None:
    assert complaint({"speed": [1]}) == "[part] speed: must be a valid number or must be a valid string"


def test_every_wrong_key_is_named_at_once() -> None:
    assert len(complaint({"count": 0, "name": "four", "nmae": 1}).splitlines()) == 3


def test_a_secret_is_never_repeated() -> None:
    assert "hunter2" not in complaint({"key": ["hunter2"]})
    assert "12345" not in complaint({"key": 12345})
