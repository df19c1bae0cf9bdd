//! Runs jobs: asks a server for them, runs their scripts, streams their traces, keeps their artifacts.
