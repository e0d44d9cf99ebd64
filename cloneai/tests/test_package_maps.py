import importlib
import re
from pathlib import Path

import pytest


@pytest.mark.parametrize("package", ["billing", "chat", "cloneai", "clones", "knowledge"])
def test_a_package_s_map_names_what_is_there(package: str):
    module = importlib.import_module(package)
    folder = Path(str(module.__file__)).parent
    named = re.findall(r"`(\w+)`", module.__doc__ or "")
    assert named
    assert [
        name for name in named if not ((folder / f"{name}.py").exists() or (folder / name).is_dir())
    ] == []
