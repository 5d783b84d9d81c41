"""What the charts repeat is generated, and current."""

from __future__ import annotations

from hack.charts import differences, made


def test_generated_files_of_the_charts_are_current() -> None:
    assert "".join(differences()) == "", "run `make generate`"


def test_braces_of_a_description_are_not_taken_for_a_template() -> None:
    definitions = [text for name, text in made().items() if "/templates/crds/" in name]
    assert len(definitions) == 3
    for text in definitions:
        actions = [line.strip() for line in text.splitlines() if "{{" in line and "{{ `{{` }}" not in line]
        assert actions == ["{{- if .Values.crds.install }}", "{{- if .Values.crds.keep }}", "{{- end }}", "{{- end }}"]
