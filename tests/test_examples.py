"""The examples in docstrings run, and whatever is public has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import sample
import train
import zoo

PARSER = doctest.DocTestParser()
RUNNING = {"train.__main__", "sample.__main__", "sample.testing.__main__", "zoo.__main__"}
FORWARDED = {"bench", "lengths", "receptive_fields", "evaluate", "reproduce"}  # to benchmarks


def modules():
    for package in (zoo, sample, train):
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            is_command = found.name.count(".") == 1 and found.name.split(".")[1] in FORWARDED
            is_command |= found.name.startswith("train.commands.")
            if found.name not in RUNNING and not is_command:
                yield importlib.import_module(found.name)
    for name in ("lengths", "receptive_fields", "sampling"):
        yield importlib.import_module(f"benchmarks.{name}")


def documented():
    """(name, docstring, module) of every module, function, class and method of the packages."""
    for module in modules():
        yield module.__name__, inspect.getdoc(module), module
        for name, value in list(vars(module).items()):
            if getattr(value, "__module__", None) != module.__name__:
                continue
            if not (inspect.isclass(value) or inspect.isroutine(value)):
                continue
            yield f"{module.__name__}.{name}", own_doc(value), module
            for method, function in vars(value).items() if inspect.isclass(value) else ():
                if callable(function) or isinstance(function, classmethod | staticmethod):
                    yield f"{module.__name__}.{name}.{method}", own_doc(function), module


def own_doc(value):
    """The docstring of a function or class itself, without that of a base."""
    return inspect.cleandoc(
        vars(value).get("__doc__") or "" if inspect.isclass(value) else value.__doc__ or ""
    )


EXAMPLES = {name: (doc, module) for name, doc, module in documented() if doc and ">>>" in doc}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    doc, module = EXAMPLES[name]
    example = PARSER.get_doctest(doc, dict(vars(module)), name, module.__file__, 0)
    said = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=said.append)
    assert not said, "".join(said)


def public(package):
    """The public functions and classes of a package, aliases of types and constants left out."""
    for name in getattr(package, "__all__", ()):
        value = getattr(package, name)
        is_ours = getattr(value, "__module__", "").partition(".")[0] in ("zoo", "sample", "train")
        if is_ours and (inspect.isclass(value) or inspect.isroutine(value)):
            yield pytest.param(value, id=f"{package.__name__}.{name}")


@pytest.mark.parametrize(
    "value", [*public(zoo), *public(sample), *public(sample.testing), *public(train)]
)
def test_what_is_public_has_an_example(value):
    assert ">>> " in own_doc(value)
