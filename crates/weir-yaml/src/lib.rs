//! YAML as GitLab reads it: libyaml's grammar and Psych's scalar rules, every node with its place.
