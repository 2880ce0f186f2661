"""Validates YAML files against JSON Schemas: validate_yaml.py SCHEMA FILE [SCHEMA FILE ...].

Independent of the program's own readers. Every complaint is printed; the exit status is 1 when there is one.
"""

import json
import re
import sys

import jsonschema
import yaml


class Yaml12Loader(yaml.SafeLoader):
    """Truths are `true` and `false` only, as in YAML 1.2 and in editors; `on` is a text to them."""


Yaml12Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"]
)


def as_json(node):
    """Keys of JSON are texts: 0x7FFF of YAML comes back as its digits."""
    if isinstance(node, dict):
        return {str(key): as_json(value) for key, value in node.items()}
    if isinstance(node, list):
        return [as_json(item) for item in node]
    return node


def main(arguments):
    failed = False
    for schema_path, path in zip(arguments[::2], arguments[1::2]):
        with open(schema_path, encoding="utf-8") as file:
            schema = json.load(file)
        with open(path, encoding="utf-8") as file:
            document = as_json(yaml.load(file, Loader=Yaml12Loader))
        jsonschema.Draft7Validator.check_schema(schema)
        for error in jsonschema.Draft7Validator(schema).iter_errors(document):
            failed = True
            place = "/".join(str(part) for part in error.absolute_path)
            print(f"{path}: {place}: {error.message}")
            for inner in error.context or []:
                print(f"    {inner.message[:300]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
