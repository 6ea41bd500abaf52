"""Load the configuration: defaults, overridden by `plumbline.yaml`, overridden by the environment.

All problems are reported at once, each with its line in the file or the name of the variable. Error
messages never repeat a value of `kafka.client`, or an address or key of `notifications.targets`.

Variables are named PLUMBLINE__SECTION__KEY, in upper or lower case:

- If the key takes text, the value is used as it is. Otherwise it is parsed as YAML.
- Under `kafka.client` a single underscore represents a dot, because shells do not allow dots in
  names: PLUMBLINE__KAFKA__CLIENT__SASL_PASSWORD sets sasl.password.
- For settings of `kafka.client` and for secrets, the suffix __FILE gives a file that
  contains the value: PLUMBLINE__KAFKA__CLIENT__SASL_PASSWORD__FILE.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from monitor.config.draft import ConfigError, Draft
from monitor.config.environment import read_environment
from monitor.config.explain import explain, is_name, problem_key
from monitor.config.keys import enclosing_keys
from monitor.config.schema import Config
from monitor.config.secrets import assume_secrets, read_secret_files, reject_literal_secrets
from monitor.config.yaml_file import read_file


def load(path: Path | None, environ: Mapping[str, str], *, secrets: bool = True) -> Config:
    """Return the configuration from a file, if given, and from environment variables.

    secrets: whether secrets are needed. If not, a secret that is missing or cannot be read is
    replaced by a placeholder.
    Raises ConfigError with all problems.
    """
    config, draft = load_draft(path, environ, secrets=secrets)
    if config is None or draft.problems:
        raise ConfigError(draft.problems)
    return config


def load_draft(
    path: Path | None, environ: Mapping[str, str], *, secrets: bool = True
) -> tuple[Config | None, Draft]:
    """Return the configuration, and the draft with the places of its keys and all its problems.

    If there are problems, the configuration is that of the valid sections; None if these alone are
    not valid.
    """
    draft = Draft()
    if path is not None:
        read_file(path, draft)
        reject_literal_secrets(draft)
    read_environment(environ, draft)
    if not secrets:
        assume_secrets(draft)
    read_secret_files(draft)
    return _validate(draft) or _of_valid_sections(draft), draft


def _of_valid_sections(draft: Draft) -> Config | None:
    """Return the configuration without the sections that have problems, None if it is invalid."""
    wrong = {key[0] for key in draft.invalid if key}
    try:
        return Config.model_validate({k: v for k, v in draft.data.items() if k not in wrong})
    except ValidationError:
        return None


def _validate(draft: Draft) -> Config | None:
    """Return the validated configuration, or None after adding its problems to the draft."""
    try:
        return Config.model_validate(draft.data)
    except ValidationError as error:
        details = error.errors(include_url=False)
    reported = set(draft.invalid)
    for detail in details:
        key = problem_key(detail, draft.origins)
        if is_name(detail):
            reported.add(key)
        # A rejected secret is now missing, which is not a second problem.
        elif not reported.isdisjoint(enclosing_keys(key)):
            continue
        draft.add_problem(key, explain(detail))
    return None
