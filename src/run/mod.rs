//! The engine: pipeline, one file, many files.
