#!/bin/sh
# Builds the greeting.
set -e
mkdir -p out
for step in configure compile link; do
    echo "$step ..."
    sleep 0.4
done
echo "$GREETING from $CI_PROJECT_PATH" > out/greeting
