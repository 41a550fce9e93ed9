"""Records the opsets at which ONNX changed each operator of ai.onnx, up to the newest that ONNX Runtime 1.30 loads.

Run: python make_versions.py > versions.json   (onnx 1.23)
"""

import collections
import json

from onnx import defs

NEWEST = 26
versions = collections.defaultdict(list)
for schema in defs.get_all_schemas_with_history():
    if schema.domain == "" and schema.since_version <= NEWEST:
        versions[schema.name].append(schema.since_version)
print(json.dumps({name: sorted(versions[name]) for name in sorted(versions)}, indent=1).replace("\n  ", " ").replace("\n ]", " ]"))
