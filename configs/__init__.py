"""Configuration: team files and settings, from YAML to frozen values.

`loader` is the way in. `yaml_tree` reads text into places and values, `reader` gives them types and
collects faults, `team` and `steps` compile them to `pockethive.core.spec`; `settings` are one
device's own. Shipped files lie beside the code: `research.yaml`, `minimal.yaml`, `node.yaml`.
"""
