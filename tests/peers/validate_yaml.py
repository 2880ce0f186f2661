"""Validates YAML files against JSON Schemas: validate_yaml.py SCHEMA FILE [SCHEMA FILE ...].

Independent of the program's own readers. Every complaint is printed; the exit status is 1 when there is one.
"""

import json
import sys

import jsonschema
import yaml


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
            document = as_json(yaml.safe_load(file))
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
