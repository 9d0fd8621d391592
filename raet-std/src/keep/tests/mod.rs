//! Tests of the keep on files.
